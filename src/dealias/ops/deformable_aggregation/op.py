# SPDX-License-Identifier: Apache-2.0
"""Deformable aggregation as a registered operator: public function, gradients, fake kernels, autocast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..backend import current_backend, kernels_for
from ..memory import in_format_of, new_map
from . import _fused, _tapwise, _triton
from .reference import deformable_aggregation_reference
from .taps import Geometry

_KERNELS = {"cpu": _fused, "triton": _triton}


def deformable_aggregation(
    x: Tensor,
    offsets: Tensor,
    weights: Tensor,
    kernel_size: int = 3,
    stride: int = 1,
    padding: int = 1,
    dilation: int = 1,
    offset_scale: float = 1.0,
) -> Tensor:
    """Sum of bilinear samples at the moved taps of a kernel, weighted (DCNv3, arXiv:2211.05778, equation 2).

    Every channel group has points and weights of its own. With c the kernel's middle, ``dilation * (kernel_size - 1)
    // 2``, the tap (i, j) of the output (X, Y) samples x at ``X * stride - padding + c + offset_scale * (i * dilation -
    c + offset_x)``, and y likewise. Pixels outside the map are zero.

    Args:
        x: features, [B, C, H, W], floating point.
        offsets: [B, groups, taps, 2, OH, OW], floating point: (x, y) in pixels of ``x``. There are ``kernel_size**2``
            taps, column by column (i * kernel_size + j), or one fewer: a kernel of odd size without its central tap.
            OH and OW are the sizes that a convolution with the same numbers gives.
        weights: [B, groups, taps, OH, OW], floating point; used as they are.
        kernel_size: taps along one side.
        stride: pixels between neighbouring outputs.
        padding: pixels by which the first window begins before the map.
        dilation: pixels between neighbouring taps.
        offset_scale: enlarges the kernel and its offsets about the middle.

    Returns:
        [B, C, OH, OW], dtype of ``x`` (float32 under autocast) and its memory format; channel c uses group ``c //
        (C / groups)``. Computed in float32 at least.

    Raises:
        ValueError: shapes, dtypes or numbers are not as above, or the groups do not divide the channels.

    >>> x = torch.arange(12.0).reshape(1, 1, 3, 4)
    >>> offsets = torch.zeros(1, 1, 9, 2, 3, 4)
    >>> deformable_aggregation(x, offsets, torch.full((1, 1, 9, 3, 4), 1 / 9))[0, 0, 1, 1].item()  # a 3x3 mean
    5.0
    """
    geometry = Geometry(kernel_size, stride, padding, dilation)
    _check(x, offsets, weights, geometry)
    if current_backend() == "reference":
        return deformable_aggregation_reference(x, offsets, weights, *geometry, offset_scale)
    return _aggregate(x, offsets, weights, geometry, offset_scale)


def _check(x: Tensor, offsets: Tensor, weights: Tensor, geometry: Geometry) -> None:
    if min(geometry.kernel_size, geometry.stride, geometry.dilation) < 1 or geometry.padding < 0:
        raise ValueError(f"deformable_aggregation: kernel, stride and dilation must be at least 1, got {geometry}")
    if x.ndim != 4 or weights.ndim != 5 or not all(t.is_floating_point() for t in (x, offsets, weights)):
        raise ValueError(
            "deformable_aggregation: needs floating x [B, C, H, W], offsets [B, groups, taps, 2, OH, OW] and weights "
            f"[B, groups, taps, OH, OW], got {tuple(x.shape)}, {tuple(offsets.shape)} and {tuple(weights.shape)} "
            f"of {x.dtype}, {offsets.dtype} and {weights.dtype}"
        )
    groups, taps = weights.shape[1:3]
    size = tuple(geometry.out_size(n) for n in x.shape[-2:])
    full = geometry.kernel_size**2
    if taps != full and (taps != full - 1 or full % 2 == 0):
        raise ValueError(
            f"deformable_aggregation: a kernel of {geometry.kernel_size} has {full} taps, or, where that is odd, one "
            f"fewer; got {taps}"
        )
    if weights.shape != (x.shape[0], groups, taps, *size) or offsets.shape != (x.shape[0], groups, taps, 2, *size):
        raise ValueError(
            f"deformable_aggregation: x {tuple(x.shape)} and {geometry} give outputs of {size}; "
            f"got offsets {tuple(offsets.shape)} and weights {tuple(weights.shape)}"
        )
    if groups < 1 or x.shape[1] % groups:
        raise ValueError(f"deformable_aggregation: {groups} groups do not divide {x.shape[1]} channels")


@torch.library.custom_op("dealias::deformable_aggregation", mutates_args=())
def _aggregate(x: Tensor, offsets: Tensor, weights: Tensor, geometry: Sequence[int], offset_scale: float) -> Tensor:
    kernels = kernels_for("deformable_aggregation", _KERNELS, x, offsets, weights) or _tapwise
    return in_format_of(x, kernels.forward(x, offsets, weights, Geometry(*geometry), offset_scale))


@_aggregate.register_fake
def _(x: Tensor, offsets: Tensor, weights: Tensor, geometry: Sequence[int], offset_scale: float) -> Tensor:
    return new_map(x, x.shape[0], x.shape[1], weights.shape[3], weights.shape[4])


@torch.library.custom_op("dealias::deformable_aggregation_backward", mutates_args=())
def _aggregate_backward(
    grad: Tensor,
    x: Tensor,
    offsets: Tensor,
    weights: Tensor,
    geometry: Sequence[int],
    offset_scale: float,
    need: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    kernels = kernels_for("deformable_aggregation", _KERNELS, x, offsets, weights) or _tapwise
    grad_x, *others = kernels.backward(grad, x, offsets, weights, Geometry(*geometry), offset_scale, need)
    return in_format_of(x, grad_x) if need[0] else grad_x, others[0], others[1]


@_aggregate_backward.register_fake
def _(
    grad: Tensor,
    x: Tensor,
    offsets: Tensor,
    weights: Tensor,
    geometry: Sequence[int],
    offset_scale: float,
    need: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    made = [t.new_empty(t.shape if needed else (0,)) for t, needed in zip((offsets, weights), need[1:], strict=True)]
    return new_map(x, *x.shape) if need[0] else x.new_empty(0), made[0], made[1]


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.geometry, ctx.offset_scale = inputs[3:]


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    need = list(ctx.needs_input_grad[:3])
    grads = _aggregate_backward(grad, *ctx.saved_tensors, ctx.geometry, ctx.offset_scale, need)
    return (*(g if needed else None for g, needed in zip(grads, need, strict=True)), None, None)


_aggregate.register_autograd(_backward, setup_context=_save)
for _device in ("cpu", "cuda"):
    _aggregate.register_autocast(_device, torch.float32)
