# SPDX-License-Identifier: Apache-2.0
"""Deformable aggregation by Triton kernels, of contiguous copies where tensors are not contiguous."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from .. import _triton
from .taps import Geometry


def refusal(x: Tensor, offsets: Tensor, weights: Tensor) -> str | None:
    """Why the kernels cannot compute this call; None if they can."""
    return _triton.refusal_of(x, offsets, weights)


def forward(x: Tensor, offsets: Tensor, weights: Tensor, geometry: Geometry, offset_scale: float) -> Tensor:
    """See :func:`~dealias.ops.deformable_aggregation`."""
    from . import _triton_kernels as kernels

    out = x.new_empty(*x.shape[:2], *weights.shape[-2:])
    if not x.numel() or not weights.numel():
        return out.zero_()
    sizes, constants = _sizes(x, weights, geometry, offset_scale), _constants(weights, geometry)
    _triton.launch(kernels.forward, _grid(x, weights), x, offsets, weights, out, *sizes, **constants)
    return out


def backward(
    grad: Tensor,
    x: Tensor,
    offsets: Tensor,
    weights: Tensor,
    geometry: Geometry,
    offset_scale: float,
    need: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients with respect to x, offsets and weights; those that are not needed are left empty.

    That to x is summed by atomics, in an order that differs from run to run.
    """
    from . import _triton_kernels as kernels

    grad_x = x.new_zeros(x.shape if need[0] else (0,), dtype=torch.float32)
    grad_offsets, grad_weights = (
        t.new_empty(t.shape if needed else (0,)) for t, needed in zip((offsets, weights), need[1:], strict=True)
    )
    if not x.numel() or not weights.numel():
        return grad_x.to(x.dtype), grad_offsets.zero_(), grad_weights.zero_()
    grad, offsets, weights = grad.contiguous(), offsets.contiguous(), weights.contiguous()
    sizes, constants = _sizes(x, weights, geometry, offset_scale), _constants(weights, geometry)
    if need[0]:
        grid = _grid(x, weights)
        _triton.launch(kernels.feature_gradient, grid, grad, offsets, weights, grad_x, *sizes, **constants)
    if need[1] or need[2]:
        wanted = (grad_offsets if need[1] else None, grad_weights if need[2] else None)
        grid = _grid(x, weights, all_channels=True)
        _triton.launch(kernels.point_gradients, grid, grad, x, offsets, weights, *wanted, *sizes, **constants)
    return grad_x.to(x.dtype), grad_offsets, grad_weights


def _sizes(x: Tensor, weights: Tensor, geometry: Geometry, offset_scale: float) -> tuple[float, ...]:
    start = geometry.middle - geometry.padding
    of_maps = (*x.shape[2:], x.shape[1] // weights.shape[1], *weights.shape[3:])
    return *of_maps, geometry.stride, start, geometry.middle, geometry.dilation, float(offset_scale)


def _constants(weights: Tensor, geometry: Geometry) -> dict[str, int]:
    return {"SIDE": geometry.kernel_size, "TAPS": weights.shape[2]}


def _grid(x: Tensor, weights: Tensor, all_channels: bool = False) -> Callable[[Mapping[str, int]], tuple[int, ...]]:
    """Programs for blocks of output pixels, for blocks of channels or all, and for groups of samples."""
    (n, c), (_, groups, _, h, w) = x.shape[:2], weights.shape

    def grid(meta: Mapping[str, int]) -> tuple[int, ...]:
        blocks = 1 if all_channels else -(-(c // groups) // meta["CHANNELS"])
        return -(-h * w // meta["PIXELS"]), blocks, n * groups

    return grid
