# SPDX-License-Identifier: Apache-2.0
"""Local similarity and its gradient by Triton kernels, of contiguous copies where maps are not contiguous."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .. import _triton
from .reference import EPSILON

_LARGEST_SIDE = 7


def refusal(x: Tensor, kernel_size: int) -> str | None:
    """Why the kernels cannot compute this call; None if they can."""
    if kernel_size > _LARGEST_SIDE:
        return f"they have windows of up to {_LARGEST_SIDE}, not {kernel_size}"
    return _triton.refusal_of(x)


def forward(x: Tensor, kernel_size: int, dilation: int, metric: str) -> Tensor:
    """The value of :func:`~dealias.ops.local_similarity`."""
    return _similarity(x.contiguous(), _norms(x, metric), kernel_size, dilation, x.dtype)


def backward(grad: Tensor, x: Tensor, kernel_size: int, dilation: int, metric: str) -> Tensor:
    """The gradient of :func:`~dealias.ops.local_similarity` to ``x``."""
    from . import _triton_kernels as kernels

    x, norm = x.contiguous(), _norms(x, metric)
    grad_x = torch.empty_like(x)
    if not grad.numel() or not x.numel():
        return grad_x.zero_()
    similarity = None if norm is None else _similarity(x, norm, kernel_size, dilation, torch.float32)
    n, c, h, w = x.shape

    def grid(meta: Mapping[str, int]) -> tuple[int, ...]:
        return -(-h * w // meta["PIXELS"]), -(-c // meta["CHANNELS"]), n

    constants = {"SIDE": kernel_size, "DILATION": dilation}
    _triton.launch(kernels.gradient, grid, grad, x, norm, similarity, grad_x, h, w, c, EPSILON, **constants)
    return grad_x


def _similarity(x: Tensor, norm: Tensor | None, kernel_size: int, dilation: int, dtype: torch.dtype) -> Tensor:
    from . import _triton_kernels as kernels

    n, c, h, w = x.shape
    out = x.new_empty(n, kernel_size**2 - 1, h, w, dtype=dtype)

    def grid(meta: Mapping[str, int]) -> tuple[int, ...]:
        return -(-h * w // meta["PIXELS"]), 1, n

    if out.numel():
        _triton.launch(kernels.forward, grid, x, norm, out, h, w, c, SIDE=kernel_size, DILATION=dilation)
    return out


def _norms(x: Tensor, metric: str) -> Tensor | None:
    """Euclidean norms over channels, [B, H, W] float32, at least EPSILON; None for products that are not normalised."""
    if metric != "cosine":
        return None
    return torch.linalg.vector_norm(x, dim=1, dtype=torch.float32).clamp_min_(EPSILON)
