# SPDX-License-Identifier: Apache-2.0
"""Kernel normalisation as a registered operator: public function, gradient, fake kernels, autocast."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .reference import kernel_normalize_reference


def kernel_normalize(logits: Tensor, kernel_size: int, window: Tensor | None = None) -> Tensor:
    """Turn logits into kernels that sum to 1: ``window_t * exp(logit_t) / sum_u window_u * exp(logit_u)``.

    The softmax of CARAFE (arXiv:1905.02188, eq. 2) and, with a window, the windowed one of FreqFusion
    (arXiv:2408.12879).

    Args:
        logits: [B, groups*k*k, H, W], floating point; the k*k taps of a group are contiguous, row-major.
        kernel_size: k, odd.
        window: k x k non-negative weights, not all 0, such as a Hamming window; ``None`` for none. It has no gradient.

    Returns:
        [B, groups*k*k, H, W], dtype of ``logits`` (float32 under autocast), contiguous, in 0-1, each kernel summing to
        1; computed in float32 at least.

    Raises:
        ValueError: the channels are no multiple of k*k, k is even, or the window is not k x k.

    >>> kernel_normalize(torch.zeros(1, 9, 1, 1), 3).flatten()[:2]
    tensor([0.1111, 0.1111])
    """
    check_logits(logits, kernel_size, window)
    return _kernel_normalize(logits, kernel_size, window)


def check_logits(logits: Tensor, kernel_size: int, window: Tensor | None) -> None:
    """Raise the errors of :func:`kernel_normalize`."""
    if logits.ndim != 4 or not logits.is_floating_point():
        raise ValueError(
            f"kernel_normalize: logits must be floating [B, C, H, W], got {logits.dtype} {tuple(logits.shape)}"
        )
    if kernel_size < 1 or kernel_size % 2 == 0 or logits.shape[1] % kernel_size**2:
        raise ValueError(
            f"kernel_normalize: needs an odd kernel_size and a multiple of its square in channels, "
            f"got kernel_size {kernel_size} and {logits.shape[1]} channels"
        )
    if window is not None and window.numel() != kernel_size**2:
        raise ValueError(f"kernel_normalize: window must have {kernel_size**2} weights, got {tuple(window.shape)}")


@torch.library.custom_op("dealias::kernel_normalize", mutates_args=())
def _kernel_normalize(logits: Tensor, kernel_size: int, window: Tensor | None) -> Tensor:
    return kernel_normalize_reference(logits, kernel_size, window)


@_kernel_normalize.register_fake
def _(logits: Tensor, kernel_size: int, window: Tensor | None) -> Tensor:
    return logits.new_empty(logits.shape)


def normalize_backward(grad: Tensor, kernels: Tensor, kernel_size: int) -> Tensor:
    """The gradient to the logits from that to the kernels, both [B, groups*k*k, H, W]."""
    n, c, h, w = kernels.shape
    grad, taps = (t.reshape(n, c // kernel_size**2, kernel_size**2, h, w) for t in (grad, kernels))
    grad_logits = torch.ops.aten._softmax_backward_data(grad.contiguous(), taps.contiguous(), 2, kernels.dtype)
    return grad_logits.reshape(kernels.shape)


@torch.library.custom_op("dealias::kernel_normalize_backward", mutates_args=())
def _kernel_normalize_backward(grad: Tensor, kernels: Tensor, kernel_size: int) -> Tensor:
    return normalize_backward(grad, kernels, kernel_size)


@_kernel_normalize_backward.register_fake
def _(grad: Tensor, kernels: Tensor, kernel_size: int) -> Tensor:
    return kernels.new_empty(kernels.shape)


def _save(ctx: Any, inputs: tuple[Tensor, int, Tensor | None], output: Tensor) -> None:
    ctx.kernel_size = inputs[1]
    ctx.save_for_backward(output)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
    (kernels,) = ctx.saved_tensors
    return _kernel_normalize_backward(grad, kernels, ctx.kernel_size), None, None


_kernel_normalize.register_autograd(_backward, setup_context=_save)
for _device in ("cpu", "cuda"):
    _kernel_normalize.register_autocast(_device, torch.float32)
