# SPDX-License-Identifier: Apache-2.0
"""Transforms that move pixels: resizing on one grid for image and mask, and crops that no class may fill.

Everything draws from torch's default generator, so that :class:`dealias.data.SeededTransform` pairs runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F


class GridResize(v2.Transform):
    """Resize to ``params["size"]``: images bilinearly with antialiasing, masks by their exact nearest neighbour.

    ``v2.Resize`` takes for masks the sample left of and above the nearest one, which moves them by up to half a pixel
    against the image; here both keep the grid of ``align_corners=False``.
    """

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resize one image, mask (or masks [N, H, W]), or boxes."""
        if isinstance(inpt, tv_tensors.Mask):
            plane = inpt.as_subclass(torch.Tensor)[None]
            resized = F.resize_image(plane, params["size"], interpolation=InterpolationMode.NEAREST_EXACT)
            return tv_tensors.wrap(resized[0], like=inpt)
        return F.resize(inpt, params["size"], interpolation=InterpolationMode.BILINEAR, antialias=True)


class JointResize(GridResize):
    """Resize to one size, mask and image on the same grid (``align_corners=False``).

    Args:
        size: (height, width).
    """

    def __init__(self, size: Sequence[int]) -> None:
        super().__init__()
        self.size = pair(size, "size")

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """The size to resize to."""
        return {"size": list(self.size)}


class FitImage(GridResize):
    """Resize images to the largest size of their shape that fits, whatever their orientation; masks stay as they are.

    Args:
        base_size: largest lengths of the longer and of the shorter side in pixels.
    """

    _transformed_types = (tv_tensors.Image,)

    def __init__(self, base_size: tuple[int, int]) -> None:
        super().__init__()
        self.base_size = check_base_size(base_size)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """The size to resize to."""
        images = [inpt for inpt in flat_inputs if isinstance(inpt, tv_tensors.Image)]
        return {"size": _fitted(v2.query_size(images), self.base_size)}


class RandomScale(GridResize):
    """Scale height and width by one factor, drawn uniformly, mask and image on the same grid (``align_corners=False``).

    Args:
        scale: smallest and largest factor.
        base_size: largest lengths of the longer and of the shorter side at factor 1, in pixels; ``None``: those of the
            image.
    """

    def __init__(self, scale: tuple[float, float] = (0.5, 2.0), base_size: tuple[int, int] | None = None) -> None:
        super().__init__()
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f"scale must be 0 < smallest <= largest, got {scale}")
        self.scale = (float(scale[0]), float(scale[1]))
        self.base_size = None if base_size is None else check_base_size(base_size)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the factor; sizes are rounded, at least 1."""
        factor = torch.empty(()).uniform_(*self.scale).item()
        height, width = v2.query_size(flat_inputs)
        base = (max(height, width), min(height, width)) if self.base_size is None else self.base_size
        return {"size": _fitted((height, width), (factor * base[0], factor * base[1]))}


class RandomShortSide(GridResize):
    """Resize so that the shorter side has one of several lengths, each equally likely, unless the longer gets too long.

    Args:
        short_sides: lengths in pixels.
        max_size: largest length of the longer side; an image that would be longer is fitted into it.
    """

    def __init__(self, short_sides: Sequence[int] = (800,), max_size: int = 1333) -> None:
        super().__init__()
        if not short_sides or min(short_sides) < 1 or max_size < max(short_sides):
            raise ValueError(f"short_sides must be 1 to max_size, got {tuple(short_sides)} and {max_size}")
        self.short_sides, self.max_size = tuple(short_sides), max_size

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the length."""
        short_side = self.short_sides[int(torch.randint(len(self.short_sides), ()))]
        return {"size": _fitted(v2.query_size(flat_inputs), (self.max_size, short_side))}


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
        self.size = pair(size, "size")
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


def pair(size: int | Sequence[int], name: str) -> tuple[int, int]:
    """Height and width, from both or from one side of a square.

    Raises:
        ValueError: not positive; the message says ``name``.
    """
    height, width = (size, size) if isinstance(size, int) else (int(side) for side in size)
    if height < 1 or width < 1:
        raise ValueError(f"{name} must be positive, got {size}")
    return height, width


def check_base_size(base_size: tuple[int, int]) -> tuple[int, int]:
    """Return the size.

    Raises:
        ValueError: the longer side does not come first, or is not positive.
    """
    longer, shorter = base_size
    if not longer >= shorter >= 1:
        raise ValueError(f"base_size must be the longer, then the shorter side, both positive, got {tuple(base_size)}")
    return longer, shorter


def _fitted(size: Sequence[int], base: tuple[float, float]) -> list[int]:
    """Height and width scaled by the largest factor at which the longer and the shorter side fit into ``base``.

    >>> _fitted((375, 500), (2048, 512)), _fitted((1024, 2048), (2049, 1025)), _fitted((400, 100), (200, 100))
    ([512, 683], [1025, 2049], [200, 50])
    """
    factor = min(base[0] / max(size), base[1] / min(size))
    return [max(1, math.floor(side * factor + 0.5)) for side in size]
