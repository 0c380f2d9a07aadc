# SPDX-License-Identifier: Apache-2.0
"""Local similarity and its gradient by compiled kernels, of contiguous copies where maps are not contiguous."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import _compiled

_LARGEST_SIDE = 7


def refusal(x: Tensor, kernel_size: int) -> str | None:
    """Why the kernels cannot compute this call; None if they can."""
    if kernel_size > _LARGEST_SIDE:
        return f"they have windows of up to {_LARGEST_SIDE}, not {kernel_size}"
    return _compiled.refusal_of(x)


def forward(x: Tensor, kernel_size: int, dilation: int, metric: str) -> Tensor:
    """The value of :func:`~dealias.ops.local_similarity`."""
    out = x.new_zeros(x.shape[0], kernel_size**2 - 1, *x.shape[-2:])
    if out.numel():
        sizes = (*x.shape, 1, kernel_size, dilation)
        _compiled.call("local_similarity", x.dtype, sizes, int(metric == "cosine"), x.contiguous(), out)
    return out


def backward(grad: Tensor, x: Tensor, kernel_size: int, dilation: int, metric: str) -> Tensor:
    """The gradient of :func:`~dealias.ops.local_similarity` to ``x``."""
    grad_x = x.new_empty(x.shape)
    if x.numel() and kernel_size > 1:
        sizes, given = (*x.shape, 1, kernel_size, dilation), (grad.to(x.dtype).contiguous(), x.contiguous())
        _compiled.call("local_similarity_backward", x.dtype, sizes, int(metric == "cosine"), *given, grad_x)
        return grad_x
    return torch.zeros_like(grad_x)
