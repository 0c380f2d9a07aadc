# SPDX-License-Identifier: Apache-2.0
"""Local similarity and its gradient from half the dot products: each serves both pixels of a pair."""

from __future__ import annotations

import torch
from torch import Tensor

from ..windows import at, overlap, window_offsets
from .reference import EPSILON, channel_dot, vector_norms


def forward(x: Tensor, kernel_size: int, dilation: int, metric: str) -> Tensor:
    """The value of :func:`~dealias.ops.local_similarity`."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    norm = vector_norms(wide) if metric == "cosine" else None
    neighbours = kernel_size**2 - 1
    out = x.new_zeros(x.shape[0], neighbours, *x.shape[-2:])
    for channel, (dy, dx) in enumerate(_first_half(kernel_size, dilation)):
        here, there = overlap(dy, dx, *x.shape[-2:])
        similarity = channel_dot(at(wide, here), at(wide, there))
        if norm is not None:
            similarity = similarity / (at(norm, here) * at(norm, there))
        at(out[:, channel], here).copy_(similarity)
        at(out[:, neighbours - 1 - channel], there).copy_(similarity)
    return out


def backward(grad: Tensor, x: Tensor, kernel_size: int, dilation: int, metric: str) -> Tensor:
    """The gradient of :func:`~dealias.ops.local_similarity` to ``x``.

    With unit vectors ``v = x / |x|`` a pair (p, q) of neighbours adds ``(g_pq + g_qp) v_q`` to the gradient of ``v_p``;
    what is left of it at right angles to ``v_p``, divided by ``|x_p|``, is the gradient of ``x_p``.
    """
    accumulate = torch.promote_types(x.dtype, torch.float32)
    grad, vectors = grad.to(accumulate), x.to(accumulate)
    norm = vector_norms(vectors)[:, None] if metric == "cosine" else None
    if norm is not None:
        vectors = vectors / norm
    neighbours = kernel_size**2 - 1
    total = torch.zeros_like(vectors, memory_format=torch.contiguous_format)
    for channel, (dy, dx) in enumerate(_first_half(kernel_size, dilation)):
        here, there = overlap(dy, dx, *x.shape[-2:])
        pair = at(grad[:, channel, None], here) + at(grad[:, neighbours - 1 - channel, None], there)
        at(total, here).addcmul_(pair, at(vectors, there))
        at(total, there).addcmul_(pair, at(vectors, here))
    if norm is not None:
        radial = channel_dot(total, vectors)[:, None] * (norm > EPSILON)
        total = total.addcmul_(vectors, radial, value=-1).div_(norm)
    return total.to(x.dtype)


def _first_half(kernel_size: int, dilation: int) -> list[tuple[int, int]]:
    """The offsets before the centre in row-major order; the ones behind it are their opposites in reverse order."""
    return list(window_offsets(kernel_size, dilation))[: kernel_size**2 // 2]
