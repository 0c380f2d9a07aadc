# SPDX-License-Identifier: Apache-2.0
"""Local similarity and its gradient by compiled kernels, everything in the memory format of ``x``."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import _compiled
from ..memory import in_format_of, memory_format_of, new_map

_LARGEST_SIDE = 7


def refusal(x: Tensor, kernel_size: int) -> str | None:
    """Why the kernels cannot compute this call; None if they can."""
    if kernel_size > _LARGEST_SIDE:
        return f"they have windows of up to {_LARGEST_SIDE}, not {kernel_size}"
    return _compiled.refusal_of(x)


def forward(x: Tensor, kernel_size: int, dilation: int, metric: str) -> Tensor:
    """The value of :func:`~dealias.ops.local_similarity`."""
    out = new_map(x, x.shape[0], kernel_size**2 - 1, *x.shape[-2:], zero=True)
    if out.numel():
        _compiled.call("local_similarity", x.dtype, *_sizes(x, kernel_size, dilation, metric), in_format_of(x, x), out)
    return out


def backward(grad: Tensor, x: Tensor, kernel_size: int, dilation: int, metric: str) -> Tensor:
    """The gradient of :func:`~dealias.ops.local_similarity` to ``x``."""
    grad_x = new_map(x, *x.shape)
    if not x.numel() or kernel_size == 1:
        return grad_x.zero_()
    given = [in_format_of(x, tensor) for tensor in (grad.to(x.dtype), x)]
    _compiled.call("local_similarity_backward", x.dtype, *_sizes(x, kernel_size, dilation, metric), *given, grad_x)
    return grad_x


def _sizes(x: Tensor, kernel_size: int, dilation: int, metric: str) -> tuple[tuple[int, ...], int, int]:
    last = memory_format_of(x) == torch.channels_last
    return (*x.shape, 1, kernel_size, dilation), int(metric == "cosine"), int(last)
