# SPDX-License-Identifier: Apache-2.0
"""From the pixels of an image to its class ids, as the checkpoint's network was evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from dealias.data.colours import default_palette
from dealias.data.sample import Palette
from dealias.data.transforms import evaluation_transform
from dealias.models.segmentation import MIN_SIZE
from dealias.train.checkpoints import load_checkpoint
from dealias.train.inference import InferenceSettings, predict_logits, window_and_stride

from .bands import sliding_rows

_UNCHANGED = ((0.0,) * 3, (1.0,) * 3)
_WHOLE = InferenceSettings()


@dataclass(frozen=True)
class Predictor:
    """Class ids of RGB images.

    Images are normalised, but not resized, as in evaluation, and predicted in single precision by
    :func:`dealias.train.predict_logits`. With a window and without scales, an image is normalised and predicted one row
    of windows at a time, and only the logits of these are in memory; otherwise those of the whole image, 4 bytes per
    pixel and class.

    Args:
        network: normalised images [B, 3, H, W] to logits [B, classes, H, W], in evaluation mode, on ``device``.
        palette: one colour per class.
        mean: of each channel, subtracted, on the scale 0 to 1.
        std: of each channel, divided by.
        settings: windows and views.
        device: where it is computed.
    """

    network: Callable[[Tensor], Tensor]
    palette: Palette
    mean: tuple[float, ...] = _UNCHANGED[0]
    std: tuple[float, ...] = _UNCHANGED[1]
    settings: InferenceSettings = _WHOLE
    device: str = "cpu"

    @classmethod
    def from_checkpoint(cls, path: str | Path, settings: InferenceSettings, device: str = "cpu") -> Self:
        """The network of a checkpoint with the colours and the normalisation of its data.

        Raises:
            ValueError: the checkpoint cannot be used, see :func:`dealias.train.load_checkpoint`, says nothing of its
                data or is not of RGB images; or the settings are wrong.
            FileNotFoundError: there is no such file.
        """
        _check_window(settings)
        network, meta = load_checkpoint(path)
        if meta["classes"] is None and meta["mean"] is None:
            raise ValueError(f"{path}: it does not say how the images that it was trained on were normalised")
        if network.encoder.in_channels != 3:
            raise ValueError(f"{path}: its network takes {network.encoder.in_channels} channels, RGB images have 3")
        palette = meta["palette"] or default_palette(network.classes)
        normalisation = (meta["mean"], meta["std"]) if meta["mean"] is not None else _UNCHANGED
        mean, std = (tuple(values) for values in normalisation)
        predictor = cls(network.to(device), tuple(map(tuple, palette)), mean, std, settings, device)
        predictor(torch.zeros(3, MIN_SIZE, MIN_SIZE, dtype=torch.uint8))  # raises now what is wrong with the settings
        return predictor

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> np.ndarray:
        """Predict an image.

        Args:
            image: RGB, uint8, [3, H, W] with H and W at least 32.

        Returns:
            Class ids, [H, W]: uint8, or uint16 of networks with more than 256 classes.
        """
        labels = np.zeros(image.shape[-2:], np.uint8 if len(self.palette) <= 256 else np.uint16)
        for rows, logits in self._logits(image):
            labels[rows] = logits[0].argmax(dim=0).cpu().numpy()
        return labels

    @property
    def by_rows(self) -> bool:
        """Whether only some rows of an image are in memory as logits at a time."""
        return self.settings.window is not None and self.settings.scales == (1.0,)

    def _logits(self, image: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Rows of the image, without gaps, and their logits."""
        windows = window_and_stride(self.settings.window, self.settings.stride)
        if windows is None or not self.by_rows:
            prepared = self._prepare(image)[None]
            yield slice(None), predict_logits(self.network, prepared, **asdict(self.settings))
            return
        views = (False, True) if self.settings.flip else (False,)
        bands = [sliding_rows(self.network, image, self._prepare, *windows, mirrored) for mirrored in views]
        for (rows, logits), *others in zip(*bands, strict=True):
            probabilities = [each.softmax(dim=1) for _, each in others]
            yield rows, sum(probabilities, logits.softmax(dim=1)) if others else logits

    def _prepare(self, part: Tensor) -> Tensor:
        """A part of an image as the network takes it, [3, h, w]."""
        image = tv_tensors.Image(part)
        return evaluation_transform(self.mean, self.std)(image).as_subclass(Tensor).to(self.device)


def _check_window(settings: InferenceSettings) -> None:
    window = settings.window
    if window is not None and min((window,) if isinstance(window, int) else window) < MIN_SIZE:
        raise ValueError(f"a window must be at least {MIN_SIZE} pixels high and wide, got {window}")
