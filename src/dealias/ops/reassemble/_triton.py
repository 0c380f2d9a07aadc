# SPDX-License-Identifier: Apache-2.0
"""Reassembly and its gradients by Triton kernels, of contiguous copies where maps are not contiguous.

With ``log_window``, [k*k] float32, weights are logits: kernels are the softmax over taps of logits + log_window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from .. import _triton

_LARGEST_SIDE = 7
_LOG_SUM_PIXELS = 256
_SPAN = 64  # channels of a program: for more, kernels are read and normalised again, by one that runs beside it


def refusal(x: Tensor, weight: Tensor, groups: int, scale: int) -> str | None:
    """Why the kernels cannot compute this call; None if they can."""
    side = _side(weight, groups)
    if scale not in (1, 2) or side > _LARGEST_SIDE:
        return f"they have scale 1 and 2 and kernels of up to {_LARGEST_SIDE}, not scale {scale} and kernels of {side}"
    return _triton.refusal_of(x, weight)


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
    from . import _triton_kernels as kernels

    n, c, h, w = x.shape
    out = x.new_empty(n, c, h * scale, w * scale)
    if out.numel():
        constants = _constants(weight, groups, scale, dilation, sharpen)
        sizes = (h, w, c // groups)
        _triton.launch(kernels.forward, _grid(x, groups), x, weight, log_window, out, *sizes, **constants)
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
    from . import _triton_kernels as kernels

    grad_x = x.new_empty(x.shape if need_x else (0,))
    grad_weight = weight.new_empty(weight.shape if need_weight else (0,))
    if not grad.numel():
        return grad_x.zero_(), grad_weight.zero_()
    grad, x, weight = grad.contiguous(), x.contiguous(), weight.contiguous()
    normal = (log_window, None if log_window is None else _log_sums(weight, groups, log_window))
    sizes = (*x.shape[2:], x.shape[1] // groups)
    constants = _constants(weight, groups, scale, dilation, sharpen)
    if need_x:
        grid = _grid(x, groups)
        _triton.launch(kernels.feature_gradient, grid, grad, weight, *normal, grad_x, *sizes, **constants)
    if need_weight:
        grid = _grid(x, groups, span=None)
        _triton.launch(kernels.weight_gradient, grid, grad, x, weight, *normal, grad_weight, *sizes, **constants)
    return grad_x, grad_weight


def _side(weight: Tensor, groups: int) -> int:
    return round((weight.shape[1] // groups) ** 0.5)


def _constants(weight: Tensor, groups: int, scale: int, dilation: int, sharpen: bool) -> dict[str, int]:
    return {"SIDE": _side(weight, groups), "SCALE": scale, "DILATION": dilation, "SHARPEN": sharpen}


def _grid(x: Tensor, groups: int, span: int | None = _SPAN) -> Callable[[Mapping[str, int]], tuple[int, ...]]:
    """Programs for blocks of pixels, for ``span`` channels each (None: all), and for groups of samples."""
    n, c, h, w = x.shape
    spans = 1 if span is None else -(-(c // groups) // span)
    return lambda meta: (-(-h * w // meta["PIXELS"]), spans, n * groups)


def _log_sums(logits: Tensor, groups: int, log_window: Tensor) -> Tensor:
    """The logarithms of what normalises the kernels, [B, groups, H*scale, W*scale]."""
    from . import _triton_kernels as kernels

    n, channels, h, w = logits.shape
    out = logits.new_empty(n, groups, h, w, dtype=torch.float32)
    constants = {"TAPS": channels // groups, "PIXELS": _LOG_SUM_PIXELS}
    grid = (-(-h * w // _LOG_SUM_PIXELS), n * groups)
    _triton.launch(kernels.log_sums, grid, logits, log_window, out, h * w, **constants)
    return out
