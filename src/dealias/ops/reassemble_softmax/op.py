# SPDX-License-Identifier: Apache-2.0
"""Reassembly by normalised kernels as a registered operator: public function, gradients, fake kernels, autocast."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..backend import current_backend, kernels_for
from ..kernel_normalize import check_logits, kernel_normalize_reference, normalize_backward
from ..memory import in_format_of, new_map
from ..reassemble import _shifted, check_reassemble
from ..reassemble.op import KERNELS, empty_gradients, gradients_in_format_of
from .reference import reassemble_softmax_reference


def reassemble_softmax(
    x: Tensor,
    logits: Tensor,
    kernel_size: int,
    window: Tensor | None = None,
    groups: int = 1,
    scale: int = 1,
    dilation: int = 1,
    sharpen: bool = False,
) -> Tensor:
    """``reassemble(x, kernel_normalize(logits, kernel_size, window), groups, scale, dilation)``, in one step.

    With ``sharpen`` it is taken from twice the map, ``2 x - reassemble(...)``: x with what the kernels smooth away
    added once more, FreqFusion's adaptive high-pass filter (arXiv:2408.12879, section 3.3).

    The kernels (CARAFE, arXiv:1905.02188, eq. 2-3) are not kept for the gradient either, but made again from the
    logits. See :func:`~dealias.ops.kernel_normalize` and :func:`~dealias.ops.reassemble`.

    Args:
        x: features, [B, C, H, W], floating point.
        logits: [B, groups*k*k, H*scale, W*scale], dtype of ``x``.
        kernel_size: k, odd.
        window: k x k non-negative weights, not all 0; ``None`` for none. It has no gradient.
        groups: channel groups with kernels of their own.
        scale: integer ratio of output to input size.
        dilation: distance of neighbouring taps, pixels of ``x``.
        sharpen: as above, at ``scale`` 1.

    Returns:
        [B, C, H*scale, W*scale], dtype of ``x`` (float32 under autocast) and its memory format;
        computed in float32 at least.

    Raises:
        ValueError: as of the two functions, or ``sharpen`` at another scale.

    >>> reassemble_softmax(torch.ones(1, 1, 3, 3), torch.zeros(1, 9, 3, 3), 3)[0, 0, 1]
    tensor([0.6667, 1.0000, 0.6667])
    """
    check_logits(logits, kernel_size, window)
    check_reassemble(x, logits, groups, scale, dilation)
    if logits.shape[1] != groups * kernel_size**2:
        raise ValueError(
            f"reassemble_softmax: logits must have {groups} x {kernel_size}**2 channels, got {logits.shape[1]}"
        )
    if sharpen and scale != 1:
        raise ValueError(f"reassemble_softmax: only at scale 1 can the map be sharpened, got scale {scale}")
    if current_backend() == "reference":
        return reassemble_softmax_reference(x, logits, kernel_size, window, groups, scale, dilation, sharpen)
    return _reassemble_softmax(x, logits, window, kernel_size, groups, scale, dilation, sharpen)


@torch.library.custom_op("dealias::reassemble_softmax", mutates_args=())
def _reassemble_softmax(
    x: Tensor,
    logits: Tensor,
    window: Tensor | None,
    kernel_size: int,
    groups: int,
    scale: int,
    dilation: int,
    sharpen: bool = False,
) -> Tensor:
    fused = kernels_for("reassemble_softmax", KERNELS, x, logits, groups, scale)
    if fused is not None:
        log_window = _log_window(window, logits, kernel_size)
        return in_format_of(x, fused.forward(x, logits, groups, scale, dilation, log_window, sharpen))
    kernels = kernel_normalize_reference(logits, kernel_size, window)
    out = _shifted.forward(x, kernels, groups, scale, dilation)
    return in_format_of(x, out.neg_().add_(x, alpha=2) if sharpen else out)


@_reassemble_softmax.register_fake
def _(
    x: Tensor,
    logits: Tensor,
    window: Tensor | None,
    kernel_size: int,
    groups: int,
    scale: int,
    dilation: int,
    sharpen: bool = False,
) -> Tensor:
    return new_map(x, x.shape[0], x.shape[1], x.shape[2] * scale, x.shape[3] * scale)


@torch.library.custom_op("dealias::reassemble_softmax_backward", mutates_args=())
def _reassemble_softmax_backward(
    grad: Tensor,
    x: Tensor,
    logits: Tensor,
    window: Tensor | None,
    kernel_size: int,
    groups: int,
    scale: int,
    dilation: int,
    sharpen: bool,
    need_x: bool,
    need_logits: bool,
) -> tuple[Tensor, Tensor]:
    fused = kernels_for("reassemble_softmax", KERNELS, x, logits, groups, scale)
    if fused is not None:
        log_window = _log_window(window, logits, kernel_size)
        options = (groups, scale, need_x, need_logits, dilation, log_window, sharpen)
        return gradients_in_format_of(x, fused.backward(grad, x, logits, *options), (need_x, need_logits))
    kernels = kernel_normalize_reference(logits, kernel_size, window)
    arriving = -grad if sharpen else grad
    grad_x, grad_kernels = _shifted.backward(arriving, x, kernels, groups, scale, need_x, need_logits, dilation)
    if sharpen and need_x:
        grad_x = torch.add(grad_x, grad, alpha=2)
    if need_logits:
        grad_kernels = normalize_backward(grad_kernels, kernels, kernel_size)
    return gradients_in_format_of(x, (grad_x, grad_kernels), (need_x, need_logits))


@_reassemble_softmax_backward.register_fake
def _(
    grad: Tensor,
    x: Tensor,
    logits: Tensor,
    window: Tensor | None,
    kernel_size: int,
    groups: int,
    scale: int,
    dilation: int,
    sharpen: bool,
    need_x: bool,
    need_logits: bool,
) -> tuple[Tensor, Tensor]:
    return empty_gradients(x, logits, need_x, need_logits)


def _log_window(window: Tensor | None, logits: Tensor, kernel_size: int) -> Tensor:
    """What is added to the logits of a kernel, [k*k] float32."""
    if window is None:
        return logits.new_zeros(kernel_size**2, dtype=torch.float32)
    return window.detach().float().log().flatten()


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.options = inputs[3:]


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    need_x, need_logits = ctx.needs_input_grad[:2]
    grads = _reassemble_softmax_backward(grad, *ctx.saved_tensors, *ctx.options, need_x, need_logits)
    return grads[0] if need_x else None, grads[1] if need_logits else None, *(None,) * 6


_reassemble_softmax.register_autograd(_backward, setup_context=_save)
for _device in ("cpu", "cuda"):
    _reassemble_softmax.register_autocast(_device, torch.float32)
