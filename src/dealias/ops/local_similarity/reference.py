# SPDX-License-Identifier: Apache-2.0
"""Local similarity in plain torch: the definition (FreqFusion, arXiv:2408.12879, offset generator)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..windows import at, overlap, window_offsets

EPSILON = 1e-8
"""Norms are at least this, so that a zero vector is similar to nothing."""

_CHUNK = 8
"""Channels multiplied at a time: the product is never larger than a few maps."""


def local_similarity_reference(x: Tensor, kernel_size: int, dilation: int, metric: str) -> Tensor:
    """One dot product with a shifted copy per neighbour; differentiable, on any device.

    Shapes and rules are those of :func:`~dealias.ops.local_similarity`.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    norm = vector_norms(wide) if metric == "cosine" else None
    offsets = [o for o in window_offsets(kernel_size, dilation) if o != (0, 0)]
    out = wide.new_zeros(x.shape[0], len(offsets), *x.shape[-2:])
    for channel, (dy, dx) in enumerate(offsets):
        here, there = overlap(dy, dx, *x.shape[-2:])
        similarity = channel_dot(at(wide, here), at(wide, there))
        if norm is not None:
            similarity = similarity / (at(norm, here) * at(norm, there))
        at(out[:, channel], here).copy_(similarity)
    return out.to(x.dtype)


def vector_norms(x: Tensor) -> Tensor:
    """Euclidean norm over the channels of ``x`` [B, C, H, W], at least :data:`EPSILON`: [B, H, W]."""
    return torch.linalg.vector_norm(x, dim=1).clamp_min(EPSILON)


def channel_dot(a: Tensor, b: Tensor) -> Tensor:
    """Dot product over the channels of two maps [B, C, H, W], a few channels at a time: [B, H, W]."""
    total = a.new_zeros(a.shape[0], *a.shape[-2:])
    for first in range(0, a.shape[1], _CHUNK):
        total = total + (a[:, first : first + _CHUNK] * b[:, first : first + _CHUNK]).sum(1)
    return total
