# SPDX-License-Identifier: Apache-2.0
"""Joint transforms of images, boxes and masks through ``torchvision.transforms.v2``.

Detectors resize and normalise images by themselves: unless told otherwise, transforms leave both to them, and give
images on the scale 0 to 1. Everything draws from torch's default generator, so that :class:`dealias.data.SeededSamples`
pairs runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torchvision import tv_tensors
from torchvision.transforms import v2

from .geometry import FitImage, RandomScale, RandomShortSide, pair
from .objects import ObjectSample, boxes_of_masks
from .transforms import IMAGENET_MEAN


class VisibleObjects(nn.Module):
    """Keep the objects that training can use: those with a pixel in the image, and with boxes around their pixels.

    Run it after transforms that cut objects off. Boxes are those of the masks afterwards; ``area`` stays.

    Args:
        drop_crowd: leave out crowd regions.
    """

    def __init__(self, drop_crowd: bool = True) -> None:
        super().__init__()
        self.drop_crowd = drop_crowd

    def forward(self, sample: ObjectSample) -> ObjectSample:
        """The sample with fewer objects, possibly none."""
        target = sample["target"]
        kept = (target["masks"].as_subclass(torch.Tensor) != 0).flatten(1).any(dim=1)
        if self.drop_crowd:
            kept &= target["iscrowd"] == 0
        masks = target["masks"].as_subclass(torch.Tensor)[kept]
        height, width = masks.shape[-2:]
        boxes = tv_tensors.BoundingBoxes(boxes_of_masks(masks), format="XYXY", canvas_size=(height, width))
        return {
            "image": sample["image"],
            "target": {
                "boxes": boxes,
                "labels": target["labels"][kept],
                "masks": tv_tensors.Mask(masks),
                "image_id": target["image_id"],
                "area": target["area"][kept],
                "iscrowd": target["iscrowd"][kept],
            },
            "name": sample["name"],
        }


def object_training_transform(
    short_sides: Sequence[int] | None = None,
    max_size: int = 1333,
    flip: float = 0.5,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> v2.Transform:
    """Augment as the usual detection schedules do: resize the shorter side, flip; without crowd regions.

    Args:
        short_sides: lengths of the shorter side in pixels, one of which is drawn; ``None``: the size of the image.
        max_size: largest length of the longer side.
        flip: probability of a horizontal flip.
        mean: of each channel, subtracted, on the scale 0 to 1; ``None``: not normalised.
        std: of each channel, divided by; ``None`` with ``mean``.

    Returns:
        A transform of samples: image to float32, masks uint8 of the same size, boxes around them.

    Raises:
        ValueError: a value out of range.
    """
    resize = [] if short_sides is None else [RandomShortSide(short_sides, max_size)]
    return v2.Compose([*resize, v2.RandomHorizontalFlip(flip), VisibleObjects(), *_normalisation(mean, std)])


def large_scale_jitter_transform(
    size: int | Sequence[int] = 1024,
    scale: tuple[float, float] = (0.1, 2.0),
    flip: float = 0.5,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> v2.Transform:
    """Augment by large-scale jitter (Ghiasi et al., arXiv:2012.07177): scale, flip, crop or pad to one size.

    Padding lies on a random side and is the mean colour: 0 after normalisation, ImageNet's mean without.

    Args:
        size: height and width of the result, or one side of a square, in pixels.
        scale: smallest and largest factor on the size at which the image just fits into ``size``.
        flip: probability of a horizontal flip.
        mean: of each channel, subtracted, on the scale 0 to 1; ``None``: not normalised.
        std: of each channel, divided by; ``None`` with ``mean``.

    Returns:
        A transform of samples: image to float32 [3, *size], masks uint8 of the same size, boxes around what is left.

    Raises:
        ValueError: a value out of range.
    """
    height, width = pair(size, "size")
    base = max(height, width), min(height, width)
    fill: dict[type | str, Any] = {tv_tensors.Image: list(IMAGENET_MEAN) if mean is None else 0, "others": 0}
    crop = v2.RandomCrop((height, width), pad_if_needed=True, fill=fill)
    steps = [RandomScale(scale, base), v2.RandomHorizontalFlip(flip), *_normalisation(mean, std), crop]
    return v2.Compose([*steps, VisibleObjects()])


def object_evaluation_transform(
    short_side: int | None = None,
    max_size: int = 1333,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> v2.Transform:
    """Scale the image to 0 to 1, and if wanted resize and normalise it alone: objects keep their size.

    Args:
        short_side: length of the shorter side of the image in pixels; ``None``: as it is.
        max_size: largest length of the longer side.
        mean: of each channel, subtracted, on the scale 0 to 1; ``None``: not normalised.
        std: of each channel, divided by; ``None`` with ``mean``.

    Returns:
        A transform of samples: image to float32; crowd regions and all objects stay.

    Raises:
        ValueError: a value out of range.
    """
    steps = [] if short_side is None else [FitImage((max_size, short_side))]
    return v2.Compose([*steps, *_normalisation(mean, std)])


def _normalisation(mean: Sequence[float] | None, std: Sequence[float] | None) -> list[v2.Transform]:
    scaling = v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True)
    if mean is None and std is None:
        return [scaling]
    if mean is None or std is None or len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        expected = "mean and std must have three values each, std positive, or be None both"
        raise ValueError(f"{expected}, got {mean} and {std}")
    return [scaling, v2.Normalize(list(mean), list(std))]
