# SPDX-License-Identifier: Apache-2.0
"""Image classification: what its data sets give, how samples become batches, and the usual transforms.

Transforms are torchvision's and draw from torch's default generator, so that :class:`dealias.data.SeededSamples` pairs
runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypedDict

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from .geometry import pair
from .transforms import IMAGENET_MEAN, IMAGENET_STD, normalisation


class ClassifiedSample(TypedDict):
    """One image with its class.

    ``image`` is [3, H, W]: uint8 as a data set gives it, float32 after a transform. ``label`` is the class id, ``name``
    identifies the sample within its data set.
    """

    image: tv_tensors.Image
    label: int
    name: str


class ClassificationDataset(Protocol):
    """A map-style data set of :class:`ClassifiedSample`; any class with these attributes is one."""

    classes: tuple[str, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> ClassifiedSample: ...


def collate_classified(samples: Sequence[ClassifiedSample]) -> dict[str, torch.Tensor | list[str]]:
    """Stack samples into a batch: ``image`` [B, 3, H, W], ``label`` [B] int64, ``name`` list of B.

    Raises:
        ValueError: sizes differ; the message names samples and sizes.
    """
    sizes = {sample["name"]: tuple(sample["image"].shape[-2:]) for sample in samples}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise ValueError(
            f"images of one batch must have one size (height, width), got {listed}; "
            "use batch size 1 or a transform to one size"
        )
    return {
        "image": torch.stack([sample["image"].as_subclass(torch.Tensor) for sample in samples]),
        "label": torch.tensor([sample["label"] for sample in samples], dtype=torch.int64),
        "name": [sample["name"] for sample in samples],
    }


def classification_training_transform(
    crop_size: int | Sequence[int] | None = None,
    area: tuple[float, float] = (0.25, 1.0),
    flip: float = 0.5,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> v2.Transform:
    """Augment a sample: a random part of the image at one size, flip, normalise.

    Args:
        crop_size: height and width of the result, or one side of a square, in pixels; ``None``: images as they are,
            where resizing would change what is to be told apart, as the frequency of a texture.
        area: smallest and largest share of the image's area that is taken, with aspect ratios of 3/4 to 4/3.
        flip: probability of a horizontal flip.
        mean: of each channel, subtracted, on the scale 0 to 1.
        std: of each channel, divided by.

    Returns:
        A transform of samples: image to float32.

    Raises:
        ValueError: a value out of range.
    """
    steps: list[v2.Transform] = [v2.RandomHorizontalFlip(flip)]
    if crop_size is not None:
        if not 0 < area[0] <= area[1] <= 1:
            raise ValueError(f"area must be two growing shares in (0, 1], got {tuple(area)}")
        steps.insert(0, v2.RandomResizedCrop(pair(crop_size, "crop_size"), scale=tuple(area), antialias=True))
    return v2.Compose([*steps, *normalisation(mean, std)])


def classification_evaluation_transform(
    crop_size: int | Sequence[int] | None = None,
    crop_share: float = 0.875,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> v2.Transform:
    """Normalise a sample, after its middle is taken at one size if wanted.

    Args:
        crop_size: height and width of the result, or one side of a square, in pixels; ``None``: images as they are.
        crop_share: the crop's shorter side as a share of that of the image, which is resized first; (0, 1].
        mean: of each channel, subtracted, on the scale 0 to 1.
        std: of each channel, divided by.

    Returns:
        A transform of samples: image to float32.

    Raises:
        ValueError: a value out of range.
    """
    steps: list[v2.Transform] = []
    if crop_size is not None:
        if not 0 < crop_share <= 1:
            raise ValueError(f"crop_share must be in (0, 1], got {crop_share}")
        size = pair(crop_size, "crop_size")
        steps = [v2.Resize(round(max(size) / crop_share), antialias=True), v2.CenterCrop(size)]
    return v2.Compose([*steps, *normalisation(mean, std)])
