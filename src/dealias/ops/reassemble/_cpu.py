# SPDX-License-Identifier: Apache-2.0
"""Reassembly and its gradients by compiled kernels, everything in the memory format of ``x``.

With ``log_window``, [k*k] float32, weights are logits: kernels are the softmax over taps of logits + log_window.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .. import _compiled
from ..memory import in_format_of, memory_format_of, new_map

_LARGEST_SIDE = 15


def refusal(x: Tensor, weight: Tensor, groups: int, scale: int) -> str | None:
    """Why the kernels cannot compute this call; None if they can."""
    side = round((weight.shape[1] // groups) ** 0.5)
    if scale not in (1, 2) or side > _LARGEST_SIDE:
        return f"they have scale 1 and 2 and kernels of up to {_LARGEST_SIDE}, not scale {scale} and kernels of {side}"
    return _compiled.refusal_of(x, weight)


def forward(
    x: Tensor,
    weight: Tensor,
    groups: int,
    scale: int,
    dilation: int = 1,
    log_window: Tensor | None = None,
    sharpen: bool = False,
) -> Tensor:
    """The value of :func:`~dealias.ops.reassemble`; with ``sharpen`` 2 x minus it, at scale 1."""
    n, c, h, w = x.shape
    out = new_map(x, n, c, h * scale, w * scale)
    if out.numel():
        given = (in_format_of(x, x), in_format_of(x, weight))
        _compiled.call(
            "reassemble", x.dtype, *_sizes(x, weight, groups, scale, dilation, sharpen), *given, log_window, out
        )
    return out


def backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    groups: int,
    scale: int,
    need_x: bool,
    need_weight: bool,
    dilation: int = 1,
    log_window: Tensor | None = None,
    sharpen: bool = False,
) -> tuple[Tensor, Tensor]:
    """The gradients of :func:`forward` to ``x`` and ``weight``, empty where not needed."""
    grad_x = new_map(x, *x.shape) if need_x else x.new_empty(0)
    grad_weight = new_map(x, *weight.shape) if need_weight else x.new_empty(0)
    if grad.numel() and (need_x or need_weight):
        given = [in_format_of(x, tensor) for tensor in (grad.to(x.dtype), x, weight)]
        wanted = (grad_x if need_x else None, grad_weight if need_weight else None)
        sizes = _sizes(x, weight, groups, scale, dilation, sharpen)
        _compiled.call("reassemble_backward", x.dtype, *sizes, *given, log_window, *wanted)
    return grad_x, grad_weight


def _sizes(
    x: Tensor, weight: Tensor, groups: int, scale: int, dilation: int, sharpen: bool
) -> tuple[tuple[int, ...], int, int, int]:
    side = round((weight.shape[1] // groups) ** 0.5)
    last = memory_format_of(x) == torch.channels_last
    return (*x.shape, groups, side, dilation), scale, int(last), int(sharpen)
