# SPDX-License-Identifier: Apache-2.0
"""Joint transforms of image and mask through ``torchvision.transforms.v2``.

The usual augmentation of segmentation training: random scale, crop with a limit on the largest class, flip, photometric
distortion, normalisation, padding with ignore. Only what v2 lacks is written here. Everything draws from torch's
default generator, so that :class:`dealias.data.SeededTransform` pairs runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class _Resize(v2.Transform):
    """Resize to ``params["size"]``: images bilinearly with antialiasing, masks by their exact nearest neighbour.

    ``v2.Resize`` takes for masks the sample left of and above the nearest one, which moves them by up to half a pixel
    against the image; here both keep the grid of ``align_corners=False``.
    """

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resize one image or mask."""
        if isinstance(inpt, tv_tensors.Mask):
            plane = inpt.as_subclass(torch.Tensor)[None]
            resized = F.resize_image(plane, params["size"], interpolation=InterpolationMode.NEAREST_EXACT)
            return tv_tensors.wrap(resized[0], like=inpt)
        return F.resize(inpt, params["size"], interpolation=InterpolationMode.BILINEAR, antialias=True)


class JointResize(_Resize):
    """Resize to one size, mask and image on the same grid (``align_corners=False``).

    Args:
        size: (height, width).
    """

    def __init__(self, size: Sequence[int]) -> None:
        super().__init__()
        self.size = _pair(size, "size")

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """The size to resize to."""
        return {"size": list(self.size)}


class RandomScale(_Resize):
    """Scale height and width by one factor, drawn uniformly, mask and image on the same grid (``align_corners=False``).

    Args:
        scale: smallest and largest factor.
    """

    def __init__(self, scale: tuple[float, float] = (0.5, 2.0)) -> None:
        super().__init__()
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f"scale must be 0 < smallest <= largest, got {scale}")
        self.scale = (float(scale[0]), float(scale[1]))

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the factor; sizes are rounded, at least 1."""
        factor = torch.empty(()).uniform_(*self.scale).item()
        return {"size": [max(1, round(side * factor)) for side in v2.query_size(flat_inputs)]}


class CategoryLimitedCrop(v2.Transform):
    """Crop at random so that no class fills too much of the crop; smaller images are cropped to what they have.

    Up to ten positions are drawn until the most frequent class covers less than ``max_category_share`` of the pixels
    that are not ignored; the last one is taken otherwise.

    Args:
        size: (height, width).
        max_category_share: limit, 0 to 1; 1 takes the first position.
        ignore_index: id that belongs to no class.
    """

    tries = 10

    def __init__(self, size: Sequence[int], max_category_share: float = 0.75, ignore_index: int = 255) -> None:
        super().__init__()
        if not 0 < max_category_share <= 1:
            raise ValueError(f"max_category_share must be in (0, 1], got {max_category_share}")
        self.size = _pair(size, "size")
        self.max_category_share = max_category_share
        self.ignore_index = ignore_index

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the position."""
        height, width = v2.query_size(flat_inputs)
        crop_height, crop_width = min(self.size[0], height), min(self.size[1], width)
        masks = [inpt for inpt in flat_inputs if isinstance(inpt, tv_tensors.Mask)]
        for _ in range(self.tries):
            top = int(torch.randint(height - crop_height + 1, ()))
            left = int(torch.randint(width - crop_width + 1, ()))
            window = (..., slice(top, top + crop_height), slice(left, left + crop_width))
            if all(self._is_varied(mask.as_subclass(torch.Tensor)[window]) for mask in masks):
                break
        return {"top": top, "left": left, "height": crop_height, "width": crop_width}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Crop one image or mask."""
        return self._call_kernel(F.crop, inpt, **params)

    def _is_varied(self, labels: torch.Tensor) -> bool:
        if self.max_category_share == 1:
            return True
        counts = labels[labels != self.ignore_index].long().bincount()
        return bool(len(counts)) and counts.max().item() < self.max_category_share * counts.sum().item()


class PhotometricDistortion(v2.RandomPhotometricDistort):
    """Brightness, contrast, saturation and hue, each changed with probability one half; channels keep their order."""

    def __init__(self) -> None:
        super().__init__(brightness=(0.875, 1.125), contrast=(0.5, 1.5), saturation=(0.5, 1.5), hue=(-0.1, 0.1), p=0.5)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the changes."""
        return super().make_params(flat_inputs) | {"channel_permutation": None}


def training_transform(
    crop_size: int | Sequence[int],
    scale: tuple[float, float] = (0.5, 2.0),
    flip: float = 0.5,
    photometric: bool = True,
    max_category_share: float = 0.75,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    ignore_index: int = 255,
) -> v2.Transform:
    """Augment a sample: scale, crop, flip, distort, normalise, pad to the crop size.

    Padding lies on a random side; it is the mean colour in the image (0 after normalisation) and ``ignore_index`` in
    the mask.

    Args:
        crop_size: height and width of the result, or one side of a square, in pixels.
        scale: smallest and largest factor of the random scale.
        flip: probability of a horizontal flip.
        photometric: distort colours.
        max_category_share: largest share of one class in a crop, see :class:`CategoryLimitedCrop`.
        mean: of each channel, subtracted, on the scale 0 to 1.
        std: of each channel, divided by.
        ignore_index: id of pixels that count nowhere.

    Returns:
        A transform of samples: image to float32 [3, *crop_size], mask to int64 of the same size.

    Raises:
        ValueError: a value out of range.
    """
    size = _pair(crop_size, "crop_size")
    steps: list[v2.Transform] = [
        RandomScale(scale),
        CategoryLimitedCrop(size, max_category_share, ignore_index),
        v2.RandomHorizontalFlip(flip),
    ]
    if photometric:
        steps.append(PhotometricDistortion())
    fill = {tv_tensors.Image: 0, tv_tensors.Mask: ignore_index}
    steps += [*_normalisation(mean, std), v2.RandomCrop(size, pad_if_needed=True, fill=fill)]
    return v2.Compose(steps)


def evaluation_transform(
    mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD, size: int | Sequence[int] | None = None
) -> v2.Transform:
    """Normalise a sample, and resize it if a size is given.

    Args:
        mean: of each channel, subtracted, on the scale 0 to 1.
        std: of each channel, divided by.
        size: height and width, or one side of a square, of image and mask; ``None``: unchanged.

    Returns:
        A transform of samples: image to float32, mask to int64.

    Raises:
        ValueError: ``size`` is not positive.
    """
    resize = [] if size is None else [JointResize(_pair(size, "size"))]
    return v2.Compose([*resize, *_normalisation(mean, std)])


def _normalisation(mean: Sequence[float], std: Sequence[float]) -> list[v2.Transform]:
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError(f"mean and std must have three values each, std positive, got {tuple(mean)} and {tuple(std)}")
    dtypes = {tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}
    return [v2.ToDtype(dtypes, scale=True), v2.Normalize(list(mean), list(std))]


def _pair(size: int | Sequence[int], name: str) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else (int(side) for side in size)
    if height < 1 or width < 1:
        raise ValueError(f"{name} must be positive, got {size}")
    return height, width
