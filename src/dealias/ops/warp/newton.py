# SPDX-License-Identifier: Apache-2.0
"""Newton's method for the inverse of a warp, with gradients by the implicit function theorem.

Between pixels the map is bilinear, as in sampling, while the mesh that the method starts from is linear on triangles:
the two differ by a fraction of a pixel, which a few steps remove. Each point goes its own way: it takes a step if that
brings it closer and halves it otherwise, as often for all points, so that no result has to be waited for.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..point_sample import point_sample
from .grid import Size
from .mesh import mesh_locate

_STEPS = 5
"""From the mesh, maps of saliencies between 1 and 1000 need 2 steps to come down to rounding, 1 and a million 4."""

_FLAT = 1e-12
"""Determinant of a Jacobian below which it counts as this: where the map is flat, steps and gradients stay finite."""


def newton_locate(map: Tensor, points: Tensor, size: Size, start: Tensor | None = None) -> Tensor:
    """Where a map, bilinear between pixels, reaches given points: p with u(p) = point.

    The gradient to the point is J^-1, and that to the map -J^-1 times the weights of its interpolation at p, J the
    Jacobian of the map at p, as the implicit function theorem has it. Points outside of the pixel centres of the source
    count as on its border, without a gradient. Where the map folds or does not reach a point, the result is where the
    steps came closest.

    Args:
        map: u, [B, 2, H, W], (x, y) in pixels of the source grid, float32 or float64, H and W at least 1.
        points: [B, 2, h, w], in pixels of the source grid, dtype of the map.
        size: (height, width) of the source grid.
        start: the first guess, [B, 2, h, w], in pixels of the warped grid, by default that of
            :func:`~dealias.ops.warp.mesh_locate`.

    Returns:
        [B, 2, h, w], (x, y) in pixels of the warped grid, x in 0..W-1 and y in 0..H-1, finite.

    Raises:
        ValueError: shapes or dtypes are not as above.

    >>> squares = torch.stack([torch.arange(5.0) ** 2, torch.zeros(5)])[None, :, None]
    >>> newton_locate(squares, torch.tensor([6.5, 0.0]).reshape(1, 2, 1, 1), (1, 17)).flatten()
    tensor([2.5000, 0.0000])
    """
    _check(map, points, start)
    targets = torch.stack([points[:, 0].clamp(0, size[1] - 1), points[:, 1].clamp(0, size[0] - 1)], dim=1)
    with torch.no_grad():
        start = mesh_locate(map, points, size) if start is None else start
        cells = _cells(map)
        position = _solve(cells, start, targets, _last_pixel(map))
    if not torch.is_grad_enabled() or not (map.requires_grad or points.requires_grad):
        return position
    missing = targets - point_sample(map, position[:, None])
    correction = _newton_step(_look_up(cells, position)[1:], missing)
    return position + (correction - correction.detach())  # adds nothing but its gradient


def _check(map: Tensor, points: Tensor, start: Tensor | None) -> None:
    if map.ndim != 4 or points.ndim != 4 or points.shape[:2] != map.shape[:2] or map.shape[1] != 2:
        raise ValueError(
            f"newton_locate: needs map [B, 2, H, W] and points [B, 2, h, w], got {tuple(map.shape)} and "
            f"{tuple(points.shape)}"
        )
    if start is not None and start.shape != points.shape:
        raise ValueError(f"newton_locate: start must be {tuple(points.shape)} like points, got {tuple(start.shape)}")
    if map.dtype not in (torch.float32, torch.float64) or points.dtype != map.dtype or 0 in map.shape[2:]:
        raise ValueError(
            f"newton_locate: map and points must both be float32 or both float64, H and W at least 1, got {map.dtype} "
            f"{tuple(map.shape)} and {points.dtype}"
        )


def _cells(map: Tensor) -> Tensor:
    """The pieces of the map, u(x0 + fx, y0 + fy) = a + b fx + c fy + d fx fy: [B, rows, columns, (abcd), (xy)]."""
    map = _two_pixels(_two_pixels(map.detach(), 0), 1)
    a = map[:, :, :-1, :-1]
    b = map[:, :, :-1, 1:] - a
    c = map[:, :, 1:, :-1] - a
    d = map[:, :, 1:, 1:] - map[:, :, 1:, :-1] - b
    return torch.stack([a, b, c, d], dim=1).permute(0, 3, 4, 1, 2).contiguous()


def _two_pixels(map: Tensor, axis: int) -> Tensor:
    """An axis (x 0, y 1) of one pixel goes on as the unwarped grid, so that the map has a Jacobian."""
    if map.shape[3 - axis] > 1:
        return map
    onward = map.clone()
    onward[:, axis] += 1
    return torch.cat([map, onward], dim=3 - axis)


def _last_pixel(map: Tensor) -> Tensor:
    """(W-1, H-1): [2, 1, 1]."""
    last = map.new_empty(2, 1, 1)
    last[0], last[1] = map.shape[3] - 1, map.shape[2] - 1
    return last


def _look_up(cells: Tensor, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The map at positions [B, 2, h, w] and its derivatives by x and by y, [B, 2, h, w] each."""
    batch, rows, columns = cells.shape[:3]
    x, y = position.unbind(1)
    column, row = x.long().clamp(max=columns - 1), y.long().clamp(max=rows - 1)
    image = torch.arange(batch, device=cells.device)[:, None, None]
    a, b, c, d = cells[image, row, column].movedim(-1, 1).unbind(-1)
    fx, fy = (x - column)[:, None], (y - row)[:, None]
    by_y = c + d * fx
    return a + b * fx + by_y * fy, b + d * fy, by_y


def _newton_step(derivatives: tuple[Tensor, ...], missing: Tensor) -> Tensor:
    by_x, by_y = derivatives
    determinant = _cross(by_x, by_y)
    determinant = torch.where(determinant.abs() < _FLAT, _FLAT, determinant)
    return torch.stack([_cross(missing, by_y), _cross(by_x, missing)], dim=1) / determinant[:, None]


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _solve(cells: Tensor, position: Tensor, targets: Tensor, last: Tensor) -> Tensor:
    """Damped steps from a first guess, within 0 and the last pixel."""

    def look(position: Tensor) -> tuple[Tensor, Tensor]:
        value, *derivatives = _look_up(cells, position)
        missing = targets - value
        return missing.square().sum(1, keepdim=True), _newton_step(tuple(derivatives), missing)

    error, step = look(position)
    share = torch.ones_like(error)
    for _ in range(_STEPS):
        trial = torch.minimum((position + share * step).clamp(min=0), last)
        trial_error, trial_step = look(trial)
        closer = trial_error < error
        position = torch.where(closer, trial, position)
        step = torch.where(closer, trial_step, step)
        error = torch.where(closer, trial_error, error)
        share = torch.where(closer, 1.0, share / 2)
    return position
