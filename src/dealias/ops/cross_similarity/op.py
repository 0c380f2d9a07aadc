# SPDX-License-Identifier: Apache-2.0
"""Similarity across resolutions as a registered operator: public function, gradients, fake kernel, autocast.

No kernel of its own: reassembly is linear in its kernels, so its gradient to them is this similarity, and the gradients
of this similarity are a reassembly of the keys and a gradient of one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..reassemble.op import _reassemble, _reassemble_backward


def cross_similarity(query: Tensor, key: Tensor, kernel_size: int, scale: int = 1) -> Tensor:
    """Inner product of every fine pixel with the coarse pixels around it (SAPA, arXiv:2209.12866, section 3).

    ``y[b, t, i, j] = sum_c query[b, c, i, j] * key[b, c, i // scale + dy_t, j // scale + dx_t]`` with the k x k window
    in row-major order, centred. Outside the map the key counts as 0, and so does the similarity.

    Args:
        query: [B, C, H*scale, W*scale], floating point.
        key: [B, C, H, W], dtype of ``query``.
        kernel_size: k, odd.
        scale: integer ratio of the query's to the key's size.

    Returns:
        [B, k*k, H*scale, W*scale], dtype of ``query`` (float32 under autocast), contiguous; accumulated in float32 at
        least.

    Raises:
        ValueError: shapes, dtypes, kernel size or scale do not fit together.

    >>> cross_similarity(torch.ones(1, 3, 2, 2), torch.ones(1, 3, 1, 1), 3, scale=2)[0, :, 0, 0]
    tensor([0., 0., 0., 0., 3., 0., 0., 0., 0.])
    """
    if kernel_size < 1 or kernel_size % 2 == 0 or scale < 1:
        raise ValueError(f"cross_similarity: needs an odd kernel_size and scale >= 1, got {kernel_size} and {scale}")
    if key.ndim != 4 or query.shape != (*key.shape[:2], key.shape[2] * scale, key.shape[3] * scale):
        raise ValueError(
            f"cross_similarity: query must be [B, C, H*scale, W*scale] for a key [B, C, H, W], "
            f"got {tuple(query.shape)} and {tuple(key.shape)} at scale {scale}"
        )
    one_dtype = query.dtype == key.dtype or torch.is_autocast_enabled(query.device.type)
    if not query.is_floating_point() or not one_dtype:
        raise ValueError(
            f"cross_similarity: query and key must have one floating dtype, got {query.dtype} and {key.dtype}"
        )
    return _cross_similarity(query, key, kernel_size, scale)


@torch.library.custom_op("dealias::cross_similarity", mutates_args=())
def _cross_similarity(query: Tensor, key: Tensor, kernel_size: int, scale: int) -> Tensor:
    any_kernels = query.new_zeros(()).expand(query.shape[0], kernel_size**2, *query.shape[-2:])
    return _reassemble_backward(query, key, any_kernels, 1, scale, False, True)[1]


@_cross_similarity.register_fake
def _(query: Tensor, key: Tensor, kernel_size: int, scale: int) -> Tensor:
    return query.new_empty(query.shape[0], kernel_size**2, query.shape[2], query.shape[3])


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, int, int], output: Tensor) -> None:
    query, key, _, ctx.scale = inputs
    ctx.save_for_backward(query, key)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
    need_query, need_key = ctx.needs_input_grad[:2]
    query, key = ctx.saved_tensors
    grad_query = _reassemble(key, grad, 1, ctx.scale) if need_query else None
    grad_key = _reassemble_backward(query, key, grad, 1, ctx.scale, True, False)[0] if need_key else None
    return grad_query, grad_key, None, None


_cross_similarity.register_autograd(_backward, setup_context=_save)
for _device in ("cpu", "cuda"):
    _cross_similarity.register_autocast(_device, torch.float32)
