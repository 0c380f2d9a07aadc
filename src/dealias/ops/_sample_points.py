# SPDX-License-Identifier: Apache-2.0
"""Weighted sums of bilinear samples by compiled kernels: what point sampling and deformable aggregation share."""

from __future__ import annotations

import torch
from torch import Tensor

from . import _compiled
from .memory import in_format_of, memory_format_of, new_map


def refusal(x: Tensor, *others: Tensor) -> str | None:
    """Why the kernels cannot compute this call, ``others`` being points and weights; None if they can."""
    wrong = [t.dtype for t in others if t.dtype not in (*_compiled.TYPES, x.dtype)]
    if wrong:
        return f"they take points and weights of at most float32, not {str(wrong[0]).removeprefix('torch.')}"
    return _compiled.refusal_of(x) or next((r for r in map(_device_refusal, others) if r), None)


def forward(x: Tensor, points: Tensor, weights: Tensor | None, border: bool) -> Tensor:
    """Sum the samples of every point over its taps.

    Args:
        x: [B, C, H, W], float32 or bfloat16.
        points: [B, groups, taps, 2, OH, OW], float32, (x, y) in pixels of x.
        weights: [B, groups, taps, OH, OW], float32; None: 1.
        border: limit the points to the map; otherwise pixels outside are zero.

    Returns:
        [B, C, OH, OW], dtype and memory format of x.
    """
    out = new_map(x, *x.shape[:2], *points.shape[-2:])
    if out.numel():
        given = (in_format_of(x, x), points.contiguous(), None if weights is None else weights.contiguous())
        _compiled.call("sample_points", x.dtype, _sizes(x, points, border), *given, out)
    return out


def backward(
    grad: Tensor, x: Tensor, points: Tensor, weights: Tensor | None, border: bool, need: tuple[bool, bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients to x, points and weights; those that are not needed, and of an empty result, are empty or zero."""
    grad_x = new_map(x, *x.shape, zero=True) if need[0] else x.new_empty(0)
    shapes = (points.shape, (*points.shape[:3], *points.shape[-2:]))
    grad_points, grad_weights = (
        points.new_zeros(shape if needed else 0) for shape, needed in zip(shapes, need[1:], strict=True)
    )
    if grad.numel() and x.numel():
        maps = [in_format_of(x, tensor) for tensor in (grad.to(x.dtype), x)]
        given = (*maps, points.contiguous(), None if weights is None else weights.contiguous())
        wanted = [t if needed else None for t, needed in zip((grad_x, grad_points, grad_weights), need, strict=True)]
        _compiled.call("sample_points_backward", x.dtype, _sizes(x, points, border), *given, *wanted)
    return grad_x, grad_points, grad_weights


def _sizes(x: Tensor, points: Tensor, border: bool) -> tuple[int, ...]:
    (n, c, h, w), (_, groups, taps, _, out_h, out_w) = x.shape, points.shape
    last = memory_format_of(x) == torch.channels_last
    return n * groups, c // groups, h, w, taps, out_h * out_w, int(border), groups, int(last)


def _device_refusal(tensor: Tensor) -> str | None:
    return None if tensor.device.type == "cpu" else f"a tensor is on {tensor.device}"
