# SPDX-License-Identifier: Apache-2.0
"""What a warp does to a map that is sampled at a stride, and how densely it samples what (SFM, arXiv:2507.11893)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from dealias.ops.warp import Warp, demodulate
from dealias.ops.warp.grid import pixel_centres

_RIM = 1e-4
"""Pixels: whatever lies closer to the rim of the warped grid may lie outside of the mesh of its pixel centres."""


@dataclass(frozen=True)
class RoundTrip:
    """A map on its way through a stride and back, with a warp and without.

    Every ``stride``-th sample is kept along rows and columns, from the first on, and nothing is smoothed before: what a
    convolution with a stride does to the grid. The way back is bilinear, from the places where samples were taken.

    Attributes:
        before: the map as it arrives, [B, C, H, W].
        modulated: it on the warped grid, [B, C, H, W].
        sampled: the samples that are kept of that, [B, C, h, w].
        demodulated: these brought back to the grid of ``before`` through the inverse of the warp, [B, C, H, W].
        plain: the samples that are kept of ``before`` itself, brought back likewise, [B, C, H, W].
    """

    before: Tensor
    modulated: Tensor
    sampled: Tensor
    demodulated: Tensor
    plain: Tensor


def round_trip(x: Tensor, warp: Warp, stride: int) -> RoundTrip:
    """Sample a map at a stride and bring it back, on the warped grid and on its own.

    Args:
        x: [B, C, H, W], floating, on the source grid of the warp.
        warp: to a grid of any size.
        stride: along both axes, at least 1.

    Raises:
        ValueError: ``x`` does not fit the warp, or the stride is below 1.

    >>> straight = Warp(pixel_centres((6, 8), 1, torch.zeros(0)), size=(6, 8))
    >>> trip = round_trip(torch.rand(1, 4, 6, 8), straight, stride=2)
    >>> trip.sampled.shape, torch.allclose(trip.demodulated, trip.plain, atol=1e-6)
    (torch.Size([1, 4, 3, 4]), True)
    """
    if stride < 1:
        raise ValueError(f"the stride must be at least 1, got {stride}")
    modulated = warp.apply(x)
    size = (x.shape[-2], x.shape[-1])
    kept, plainly_kept = (_every(of, stride, warp.map) for of in (warp.grid_size, size))
    sampled = modulated[..., ::stride, ::stride]
    return RoundTrip(
        before=x,
        modulated=modulated,
        sampled=sampled,
        demodulated=demodulate(sampled, [warp, kept], size),
        plain=demodulate(x[..., ::stride, ::stride], [plainly_kept], size),
    )


def compose_warps(warps: Sequence[Warp]) -> Warp:
    """Several warps as one, the first first; the source of each lies over the warped grid of the one before."""
    return reduce(Warp.compose, warps)


def sampling_density(warp: Warp, size: tuple[int, int]) -> Tensor:
    """How densely the pixels of the warped grid lie over the source: 1 / det J, J the Jacobian of the map.

    Taken as the determinant of the Jacobian of the inverse, by central differences on the grid that is asked for: what
    is counted is how much of the warped grid falls within two pixels of that, a finite number even where many samples
    lie at one place.

    Args:
        warp: any.
        size: (height, width) of a grid over the source.

    Returns:
        [B, height, width], dtype of the map: not negative, 1 where samples are as dense as those of a regular grid with
        as many pixels; nan along the border, outside of the outermost samples, where it is not known.

    >>> identity = Warp(pixel_centres((4, 4), 1, torch.zeros(0)), size=(4, 4))
    >>> sampling_density(identity, (8, 8))[0, 4]
    tensor([nan, nan, 1., 1., 1., 1., nan, nan])
    """
    inverse = warp.inverse(size)
    jacobian = inverse.jacobian()
    determinant = jacobian[:, 0, 0] * jacobian[:, 1, 1] - jacobian[:, 0, 1] * jacobian[:, 1, 0]
    height, width = warp.grid_size
    regular = height * width / (size[0] * size[1])
    outside = _widened(_at_rim(inverse.map, (height, width)))
    return (determinant.abs() / regular).masked_fill(outside, torch.nan)


def _every(size: tuple[int, int], stride: int, like: Tensor) -> Warp:
    """The grid of every ``stride``-th pixel, from the first on, as a warp of a grid of ``size``."""
    kept = (-(-size[0] // stride), -(-size[1] // stride))
    return Warp(pixel_centres(kept, like.shape[0], like) * stride, size)


def _at_rim(places: Tensor, size: tuple[int, int]) -> Tensor:
    """Which places [B, 2, h, w] on a grid of ``size`` are on its rim, where all points outside of it are put."""
    last = places.new_tensor([size[1] - 1, size[0] - 1]).view(2, 1, 1)
    return ((places < _RIM) | (places > last - _RIM)).any(1)


def _widened(mask: Tensor) -> Tensor:
    """The mask [B, h, w] and the neighbours of its pixels, which differences reach, along rows and columns."""
    wide = mask.clone()
    for dim in (1, 2):
        count = mask.shape[dim] - 1
        wide.narrow(dim, 0, count).logical_or_(mask.narrow(dim, 1, count))
        wide.narrow(dim, 1, count).logical_or_(mask.narrow(dim, 0, count))
    return wide
