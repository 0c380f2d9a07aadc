# SPDX-License-Identifier: Apache-2.0
"""What the options of every network of objects have in common: frozen parts of the encoder, sizes of images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dealias.backbones import Encoder
from dealias.fusion import FusionFactory

from .detection import DetectionModel

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class DetectorOptions(ABC):
    """Options of the encoder and of the images.

    Args:
        norm: batch norms of the encoder: ``"batch"``, or ``"frozen"``, with fixed statistics and weights.
        norm_eps: ``eps`` of these.
        frozen_stages: parts of the encoder that do not learn, 0 to 4: see
            :func:`~dealias.backbones.norms.freeze_stages`.
        min_size: short side that images are resized to; of several, training draws one, evaluation takes the last.
        max_size: longest side; goes before ``min_size``.
        image_mean: means that are subtracted from the channels of an image; None: ImageNet's.
        image_std: standard deviations they are divided by; None: ImageNet's.
        size_divisible: images are padded to whole multiples of this many pixels.
    """

    norm: str = "batch"
    norm_eps: float = 1e-5
    frozen_stages: int = 0
    min_size: int | Sequence[int] = 800
    max_size: int = 1333
    image_mean: Sequence[float] | None = None
    image_std: Sequence[float] | None = None
    size_divisible: int = 32

    def __post_init__(self) -> None:
        if self.norm not in ("batch", "frozen"):
            raise ValueError(f"norm must be 'batch' or 'frozen', got {self.norm!r}")
        if self.size_divisible < 1:
            raise ValueError(f"size_divisible must be at least 1, got {self.size_divisible}")

    @abstractmethod
    def build(self, encoder: Encoder, classes: int, fusion: FusionFactory) -> DetectionModel:
        """Make the network."""

    def image_settings(self, in_channels: int) -> dict[str, Any]:
        """Arguments of torchvision's ``GeneralizedRCNNTransform``.

        Args:
            in_channels: channels of the images.

        Raises:
            ValueError: another number of means or standard deviations.
        """
        normalisation = {
            "image_mean": list(_IMAGENET_MEAN if self.image_mean is None else self.image_mean),
            "image_std": list(_IMAGENET_STD if self.image_std is None else self.image_std),
        }
        for name, values in normalisation.items():
            if len(values) != in_channels:
                raise ValueError(f"{name} must have a number for each of {in_channels} channels, got {values}")
        min_size = self.min_size if isinstance(self.min_size, int) else tuple(self.min_size)
        sizes = {"min_size": min_size, "max_size": self.max_size, "size_divisible": self.size_divisible}
        return sizes | normalisation
