# SPDX-License-Identifier: Apache-2.0
"""Masks from COCO's three notations: polygons, run lengths, and run lengths compressed to text."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from torch import Tensor

_LONGEST_OUTLINE = 10_000_000  # pycocotools keeps 40 bytes for each pixel along it
_DIGITS = 13  # of five bits, in a number of 64


def decode_segmentation(segmentation: Any, size: tuple[int, int]) -> Tensor:
    """The mask of polygons, of run lengths, or of compressed run lengths.

    Args:
        segmentation: list of polygons [x0, y0, x1, y1, ...], or ``{"size": [height, width], "counts": ...}``.
        size: height and width of the image.

    Returns:
        uint8, [height, width].

    Raises:
        ValueError: a polygon has fewer than three corners, corners that are not finite, or an outline of more than ten
            million pixels; or run lengths are of another size.

    >>> decode_segmentation({"size": [2, 3], "counts": [2, 3, 1]}, (2, 3))
    tensor([[0, 1, 1],
            [0, 1, 0]], dtype=torch.uint8)
    """
    if isinstance(segmentation, dict):
        if tuple(segmentation["size"]) != size:
            raise ValueError(f"size {segmentation['size']} differs from {list(size)} of the image")
        counts = segmentation["counts"]
        lengths = counts if isinstance(counts, list) else run_lengths(counts)
        return _from_run_lengths(np.asarray(lengths, dtype=np.int64), size)
    if not isinstance(segmentation, list) or any(len(corners) < 6 or len(corners) % 2 for corners in segmentation):
        raise ValueError("polygons must be lists of at least three x, y")
    if not segmentation:
        return torch.zeros(size, dtype=torch.uint8)
    polygons = [_checked(np.asarray(corners, dtype=float)).tolist() for corners in segmentation]
    return torch.from_numpy(coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *size))))


def run_lengths(text: str | bytes) -> list[int]:
    """Run lengths from their compressed form; from the fourth on it holds differences to the one before the last.

    pycocotools leaves memory as it was where the text is too short, so that it is read here.

    >>> run_lengths("231")
    [2, 3, 1]
    """
    codes = [ord(character) - 48 for character in (text.decode() if isinstance(text, bytes) else text)]
    ends = [-1, *(i for i, code in enumerate(codes) if not code & 32)]
    if ends[-1] != len(codes) - 1:
        raise ValueError("compressed run lengths end within a number")
    lengths: list[int] = []
    for before, last in pairwise(ends):
        if last - before > _DIGITS:
            raise ValueError("compressed run lengths have a number of more than 64 bits")
        digits = codes[before + 1 : last + 1]
        number = sum((digit & 31) << 5 * place for place, digit in enumerate(digits))
        if digits[-1] & 16:
            number -= 1 << 5 * len(digits)
        lengths.append(number + lengths[-2] if len(lengths) > 2 else number)
    return lengths


def _checked(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners whose outline pycocotools can follow: it turns them into C integers, and notes every pixel of it."""
    closed = np.append(corners, corners[:2]).reshape(-1, 2)
    length = np.abs(closed).max() + np.abs(np.diff(closed, axis=0)).max(axis=1).sum()
    if not length <= _LONGEST_OUTLINE:
        raise ValueError(f"the outline of a polygon must be at most {_LONGEST_OUTLINE} pixels long, found {length:g}")
    return corners


def _from_run_lengths(lengths: np.ndarray, size: tuple[int, int]) -> Tensor:
    """The mask of alternating runs outside and inside, down the columns."""
    height, width = size
    if lengths.ndim != 1 or (lengths < 0).any() or (lengths > height * width).any() or lengths.sum() != height * width:
        raise ValueError(f"run lengths must not be negative and sum to {height * width}, found {lengths.sum()}")
    inside = (np.arange(len(lengths)) % 2).astype(np.uint8)
    columns = np.repeat(inside, lengths).reshape(width, height)
    return torch.from_numpy(np.ascontiguousarray(columns.T))
