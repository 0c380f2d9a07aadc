# SPDX-License-Identifier: Apache-2.0
"""Reassembly and its gradients by compiled kernels, of contiguous copies where maps are not contiguous.

With ``log_window``, [k*k] float32, weights are logits: kernels are the softmax over taps of logits + log_window.
"""

from __future__ import annotations

from torch import Tensor

from .. import _compiled

_LARGEST_SIDE = 15


def refusal(x: Tensor, weight: Tensor, groups: int, scale: int) -> str | None:
    """Why the kernels cannot compute this call; None if they can."""
    side = round((weight.shape[1] // groups) ** 0.5)
    if scale not in (1, 2) or side > _LARGEST_SIDE:
        return f"they have scale 1 and 2 and kernels of up to {_LARGEST_SIDE}, not scale {scale} and kernels of {side}"
    return _compiled.refusal_of(x, weight)


def forward(
    x: Tensor, weight: Tensor, groups: int, scale: int, dilation: int = 1, log_window: Tensor | None = None
) -> Tensor:
    """The value of :func:`~dealias.ops.reassemble`."""
    n, c, h, w = x.shape
    out = x.new_empty(n, c, h * scale, w * scale)
    if out.numel():
        sizes = _sizes(x, weight, groups, dilation)
        _compiled.call("reassemble", x.dtype, sizes, scale, x.contiguous(), weight.contiguous(), log_window, out)
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
) -> tuple[Tensor, Tensor]:
    """The gradients of :func:`~dealias.ops.reassemble` to ``x`` and ``weight``, empty where not needed."""
    grad_x = x.new_empty(x.shape if need_x else (0,))
    grad_weight = weight.new_empty(weight.shape if need_weight else (0,))
    if grad.numel() and (need_x or need_weight):
        given = (grad.to(x.dtype).contiguous(), x.contiguous(), weight.contiguous())
        wanted = (grad_x if need_x else None, grad_weight if need_weight else None)
        sizes = _sizes(x, weight, groups, dilation)
        _compiled.call("reassemble_backward", x.dtype, sizes, scale, *given, log_window, *wanted)
    return grad_x, grad_weight


def _sizes(x: Tensor, weight: Tensor, groups: int, dilation: int) -> tuple[int, ...]:
    return (*x.shape, groups, round((weight.shape[1] // groups) ** 0.5), dilation)
