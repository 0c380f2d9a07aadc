# SPDX-License-Identifier: Apache-2.0
"""Deformable aggregation for one tap after the other: what is sampled is never held for more than one.

The samples are torch's ``grid_sample``, with one batch entry per channel group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from .._grid import gradient_in_pixels, to_grid
from .taps import Geometry, tap_points

_BILINEAR, _ZEROS = 0, 0  # grid_sampler's own codes


def forward(x: Tensor, offsets: Tensor, weights: Tensor, geometry: Geometry, offset_scale: float) -> Tensor:
    """See :func:`~dealias.ops.deformable_aggregation`."""
    planes, shares = _planes(x, offsets), weights.flatten(0, 1)
    out = planes.new_zeros(*planes.shape[:2], *weights.shape[-2:])
    for tap, grid in enumerate(_grids(planes, offsets, geometry, offset_scale)):
        sampled = torch.grid_sampler_2d(planes, grid, _BILINEAR, _ZEROS, False)
        out.addcmul_(sampled, shares[:, tap, None].to(planes.dtype))
    return out.reshape(*x.shape[:2], *weights.shape[-2:]).to(x.dtype)


def backward(
    grad: Tensor,
    x: Tensor,
    offsets: Tensor,
    weights: Tensor,
    geometry: Geometry,
    offset_scale: float,
    need: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients with respect to x, offsets and weights; those that are not needed are left empty."""
    planes, shares = _planes(x, offsets), weights.flatten(0, 1)
    grad = grad.to(planes.dtype).reshape(*planes.shape[:2], *weights.shape[-2:])
    grad_planes, grad_offsets, grad_weights = (
        planes.new_zeros(shape if needed else (0,))
        for shape, needed in zip((planes.shape, offsets.shape, weights.shape), need, strict=True)
    )
    for tap, grid in enumerate(_grids(planes, offsets, geometry, offset_scale)):
        if need[2]:
            sampled = torch.grid_sampler_2d(planes, grid, _BILINEAR, _ZEROS, False)
            grad_weights[:, :, tap] = sampled.mul_(grad).sum(1).unflatten(0, weights.shape[:2])
        if need[0] or need[1]:
            to_planes, grad_grid = torch.ops.aten.grid_sampler_2d_backward(
                grad * shares[:, tap, None].to(planes.dtype), planes, grid, _BILINEAR, _ZEROS, False, need[:2]
            )
            if need[0]:
                grad_planes += to_planes
            if need[1]:
                in_pixels = offset_scale * gradient_in_pixels(grad_grid, planes)
                grad_offsets[:, :, tap] = in_pixels.unflatten(0, weights.shape[:2])
    grad_x = grad_planes.reshape(x.shape) if need[0] else grad_planes
    return grad_x.to(x.dtype), grad_offsets.to(offsets.dtype), grad_weights.to(weights.dtype)


def _planes(x: Tensor, offsets: Tensor) -> Tensor:
    """``x`` with one batch entry per channel group, in float32 at least: [B*groups, C/groups, H, W]."""
    wide = torch.promote_types(torch.promote_types(x.dtype, offsets.dtype), torch.float32)
    groups = offsets.shape[1]
    return x.to(wide).reshape(x.shape[0] * groups, x.shape[1] // groups, *x.shape[-2:])


def _grids(planes: Tensor, offsets: Tensor, geometry: Geometry, offset_scale: float) -> Iterator[Tensor]:
    """Every tap's points as grid_sample takes them: [B*groups, OH, OW, 2], the map's outer edges at -1 and 1."""
    for points in tap_points(offsets.to(planes.dtype), geometry, offset_scale):
        yield to_grid(points.flatten(0, 1), planes)
