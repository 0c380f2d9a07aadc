# SPDX-License-Identifier: Apache-2.0
"""A segmentation network: encoder, decoder and, in training, an auxiliary head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from dealias.filters import Prefilter
from dealias.fusion import Fusion
from dealias.heads import resize
from dealias.mixing import MIXERS

MIN_SIZE = 32
"""Smallest height and width of an image: one pixel of the coarsest level."""


class SegmentationModel(nn.Module):
    """Class scores for every pixel of images of any size from 32 x 32.

    Args:
        encoder: images [B, in_channels, H, W] to a pyramid of features, fine to coarse; has ``in_channels``.
        decoder: the pyramid to logits [B, classes, h, w].
        classes: number of classes.
        auxiliary: a second head like ``decoder``, used by :meth:`forward_train` only.
        config: the arguments of :func:`dealias.models.create_model` that made this network, in plain Python values.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        classes: int,
        auxiliary: nn.Module | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.auxiliary = auxiliary
        self.classes = classes
        self.config: dict[str, Any] = dict(config or {})

    def forward(self, images: Tensor) -> Tensor:
        """Score the classes of every pixel.

        Args:
            images: normalised images, [B, in_channels, H, W], H and W at least 32.

        Returns:
            Logits [B, classes, H, W]: the decoder's, resized bilinearly with half-pixel centres.

        Raises:
            ValueError: wrong rank, number of channels or size.
        """
        self._check(images)
        return _at_size_of(images, self.decoder(self.encoder(images)))

    def forward_train(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Score the classes of every pixel with both heads.

        Args:
            images: as in :meth:`forward`.

        Returns:
            Logits of the decoder and of the auxiliary head (None without one), each [B, classes, H, W].

        Raises:
            ValueError: wrong rank, number of channels or size.
        """
        self._check(images)
        features = self.encoder(images)
        logits = _at_size_of(images, self.decoder(features))
        if self.auxiliary is None:
            return logits, None
        return logits, _at_size_of(images, self.auxiliary(features))

    def parameter_parts(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by part, for learning rates of their own: every parameter is in exactly one part.

        Returns:
            ``fusion``, ``prefilter`` and ``mixer`` (all within such modules, wherever they are), then ``encoder``,
            ``decoder`` and ``auxiliary`` without those. A part that the network lacks is an empty list.
        """
        parts = {
            "fusion": self._parameters_in(Fusion),
            "prefilter": self._parameters_in(Prefilter),
            "mixer": self._parameters_in(*MIXERS.values()),
        }
        inserted = {parameter for parameters in parts.values() for parameter in parameters}
        for name in ("encoder", "decoder", "auxiliary"):
            module = getattr(self, name)
            parts[name] = [] if module is None else [p for p in module.parameters() if p not in inserted]
        return parts

    def _parameters_in(self, *kinds: type[nn.Module]) -> list[nn.Parameter]:
        found = {p: None for module in self.modules() if isinstance(module, kinds) for p in module.parameters()}
        return list(found)

    def _check(self, images: Tensor) -> None:
        expected = f"[B, {self.encoder.in_channels}, H, W] with H and W at least {MIN_SIZE}"
        if images.ndim != 4:
            raise ValueError(f"images must be {expected}, got shape {tuple(images.shape)}")
        if images.shape[1] != self.encoder.in_channels:
            raise ValueError(f"images must be {expected}, got {images.shape[1]} channels: {tuple(images.shape)}")
        if images.shape[-2] < MIN_SIZE or images.shape[-1] < MIN_SIZE:
            raise ValueError(f"images must be {expected}, got size {images.shape[-2]} x {images.shape[-1]}")


def _at_size_of(images: Tensor, logits: Tensor) -> Tensor:
    return resize(logits, (images.shape[-2], images.shape[-1]))
