# SPDX-License-Identifier: Apache-2.0
"""The k x k window of a pixel: its offsets, and the overlap of a map with a shifted copy of itself."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor


def window_offsets(kernel_size: int, dilation: int = 1) -> Iterator[tuple[int, int]]:
    """The (dy, dx) of a ``kernel_size`` x ``kernel_size`` window in row-major order, in pixels.

    >>> list(window_offsets(3))[:4]
    [(-1, -1), (-1, 0), (-1, 1), (0, -1)]
    """
    reach = [(i - kernel_size // 2) * dilation for i in range(kernel_size)]
    return ((dy, dx) for dy in reach for dx in reach)


def overlap(dy: int, dx: int, height: int, width: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Slices of the pixels whose neighbour at (dy, dx) is inside the map too, and slices of these neighbours.

    >>> import torch
    >>> here, there = overlap(0, 1, 1, 3)
    >>> x = torch.tensor([[1, 2, 3]])
    >>> x[here].tolist(), x[there].tolist()
    ([[1, 2]], [[2, 3]])
    """
    (y_here, y_there), (x_here, x_there) = (_overlap_1d(dy, height), _overlap_1d(dx, width))
    return (y_here, x_here), (y_there, x_there)


def at(x: Tensor, where: tuple[slice, slice]) -> Tensor:
    """The part of ``x`` [..., H, W] at slices of rows and columns, a view."""
    return x[..., where[0], where[1]]


def _overlap_1d(shift: int, size: int) -> tuple[slice, slice]:
    first, last = max(0, -shift), min(size, size - shift)
    last = max(first, last)
    return slice(first, last), slice(first + shift, last + shift)
