# SPDX-License-Identifier: Apache-2.0
"""What every segmentation data set gives, and what it says about itself."""

from __future__ import annotations

from typing import Protocol, TypedDict

from torchvision import tv_tensors

Colour = tuple[int, int, int]
"""Red, green, blue, each 0 to 255."""

Palette = tuple[Colour, ...]
"""One colour per class."""


class Sample(TypedDict):
    """One image with its labels.

    ``image`` is [3, H, W]: uint8 as a data set gives it, float32 after a transform. ``mask`` is [H, W]: class ids, or
    the data set's ``ignore_index``. ``name`` identifies the sample within its data set and passes through transforms
    unchanged.
    """

    image: tv_tensors.Image
    mask: tv_tensors.Mask
    name: str


class SegmentationDataset(Protocol):
    """A map-style data set of :class:`Sample`; any class with these attributes is one."""

    classes: tuple[str, ...]
    palette: Palette
    ignore_index: int

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...
