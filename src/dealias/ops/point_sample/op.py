# SPDX-License-Identifier: Apache-2.0
"""Grouped bilinear point sampling as a registered operator: public function, gradients, fake kernels, autocast.

In plain torch the work is done by ``grid_sample``, with one batch entry per channel group.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .. import _sample_points
from .._grid import gradient_in_pixels, to_grid
from ..backend import current_backend, kernels_for
from ..memory import in_format_of, new_map
from .reference import point_sample_reference

_KERNELS = {"cpu": _sample_points}

_BILINEAR, _BORDER = 0, 1  # grid_sampler's own codes


def point_sample(x: Tensor, points: Tensor) -> Tensor:
    """Sample each channel group of ``x`` bilinearly at its own points (DySample, arXiv:2308.15085, eq. 1-2).

    Args:
        x: features, [B, C, H, W], floating point.
        points: where to sample, [B, groups, 2, OH, OW], (x, y) in pixels of ``x``, pixel centres at integers: (0, 0) is
            the centre of the first pixel. Coordinates are limited to 0..W-1 and 0..H-1 (border pixels repeat), without
            a gradient to points at or beyond the limit. Float32 at least: bfloat16 cannot hold 128.5.

    Returns:
        [B, C, OH, OW], dtype of ``x`` (float32 under autocast) and its memory format; channel c uses group ``c //
        (C / groups)``. Computed in float32 at least.

    Raises:
        ValueError: shapes or dtypes are not as above, or the groups do not divide the channels.

    >>> x = torch.tensor([[[[0.0, 10.0]]]])
    >>> point_sample(x, torch.tensor([0.25, 0.0]).reshape(1, 1, 2, 1, 1)).item()
    2.5
    """
    if x.ndim != 4 or points.ndim != 5 or points.shape[0] != x.shape[0] or points.shape[2] != 2:
        raise ValueError(
            f"point_sample: needs x [B, C, H, W] and points [B, groups, 2, OH, OW], "
            f"got {tuple(x.shape)} and {tuple(points.shape)}"
        )
    if points.shape[1] < 1 or x.shape[1] % points.shape[1]:
        raise ValueError(f"point_sample: {points.shape[1]} groups do not divide {x.shape[1]} channels")
    if points.dtype not in (torch.float32, torch.float64) or not x.is_floating_point():
        raise ValueError(
            f"point_sample: points must be float32 or float64 and x floating, got {points.dtype} and {x.dtype}"
        )
    if current_backend() == "reference":
        return point_sample_reference(x, points)
    return _point_sample(x, points)


@torch.library.custom_op("dealias::point_sample", mutates_args=())
def _point_sample(x: Tensor, points: Tensor) -> Tensor:
    if kernels_for("point_sample", _KERNELS, x, points):
        return _sample_points.forward(x, points[:, :, None], None, border=True)
    planes, grid = _planes(x, points), _grid(x, points)
    sampled = torch.grid_sampler_2d(planes, grid, _BILINEAR, _BORDER, False)
    return in_format_of(x, sampled.reshape(*x.shape[:2], *points.shape[-2:]).to(x.dtype))


@_point_sample.register_fake
def _(x: Tensor, points: Tensor) -> Tensor:
    return new_map(x, x.shape[0], x.shape[1], points.shape[3], points.shape[4])


@torch.library.custom_op("dealias::point_sample_backward", mutates_args=())
def _point_sample_backward(
    grad: Tensor, x: Tensor, points: Tensor, need_x: bool, need_points: bool
) -> tuple[Tensor, Tensor]:
    if kernels_for("point_sample", _KERNELS, x, points):
        need = (need_x, need_points, False)
        grad_x, grad_points, _ = _sample_points.backward(grad, x, points[:, :, None], None, True, need)
        return grad_x, grad_points[:, :, 0] if need_points else grad_points
    planes, grid = _planes(x, points), _grid(x, points)
    grad = grad.to(planes.dtype).reshape(*planes.shape[:2], *points.shape[-2:])
    grad_planes, grad_grid = torch.ops.aten.grid_sampler_2d_backward(
        grad, planes, grid, _BILINEAR, _BORDER, False, [need_x, need_points]
    )
    grad_x = in_format_of(x, grad_planes.reshape(x.shape).to(x.dtype)) if need_x else x.new_empty(0)
    if not need_points:
        return grad_x, points.new_empty(0)
    return grad_x, gradient_in_pixels(grad_grid, x).reshape(points.shape).to(points.dtype)


@_point_sample_backward.register_fake
def _(grad: Tensor, x: Tensor, points: Tensor, need_x: bool, need_points: bool) -> tuple[Tensor, Tensor]:
    grad_x = new_map(x, *x.shape) if need_x else x.new_empty(0)
    return grad_x, points.new_empty(points.shape if need_points else (0,))


def _planes(x: Tensor, points: Tensor) -> Tensor:
    """``x`` with one batch entry per channel group, in the precision of the points: [B*groups, C/groups, H, W]."""
    wide = torch.promote_types(x.dtype, points.dtype)
    groups = points.shape[1]
    return x.to(wide).reshape(x.shape[0] * groups, x.shape[1] // groups, *x.shape[-2:])


def _grid(x: Tensor, points: Tensor) -> Tensor:
    """The points as grid_sample takes them: [B*groups, OH, OW, 2], the map's outer edges at -1 and 1."""
    wide = torch.promote_types(x.dtype, points.dtype)
    return to_grid(points.to(wide).flatten(0, 1), x)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
    need_x, need_points = ctx.needs_input_grad
    grad_x, grad_points = _point_sample_backward(grad, *ctx.saved_tensors, need_x, need_points)
    return grad_x if need_x else None, grad_points if need_points else None


_point_sample.register_autograd(_backward, setup_context=_save)
for _device in ("cpu", "cuda"):
    _point_sample.register_autocast(_device, torch.float32)
