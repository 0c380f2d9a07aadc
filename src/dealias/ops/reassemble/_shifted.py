# SPDX-License-Identifier: Apache-2.0
"""Reassembly and its gradients as sums of shifted products, a block of channels at a time.

A block's copies stay in the cache while all taps pass over them, which on a CPU is worth more than any other
arrangement in plain torch, and it bounds the temporaries. The gradients are written out: differentiating the loop would
keep one copy per tap.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ..windows import at, overlap, window_offsets
from .reference import upsample_nearest

_BLOCK_BYTES = 2**20
"""Size of a block of upsampled channels on a CPU: a map, its accumulator and a product fit a second-level cache."""


def forward(x: Tensor, weight: Tensor, groups: int, scale: int, dilation: int = 1) -> Tensor:
    """The value of :func:`~dealias.ops.reassemble`."""
    n, c, h, w = x.shape
    taps = weight.shape[1] // groups
    out = x.new_empty(n, c, h * scale, w * scale)
    for samples, channels, kernels in _blocks(x, weight, groups, scale):
        up = upsample_nearest(_wide(x[samples, channels]), scale)
        total = out[samples, channels].zero_() if out.dtype == up.dtype else torch.zeros_like(up)
        block_weight = _wide(weight[samples, kernels])
        for tap, (dy, dx) in enumerate(window_offsets(round(taps**0.5), dilation=scale * dilation)):
            here, there = overlap(dy, dx, h * scale, w * scale)
            at(total, here).addcmul_(at(up, there), at(block_weight[:, tap : tap + 1], here))
        if total.dtype != out.dtype:
            out[samples, channels] = total
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
) -> tuple[Tensor, Tensor]:
    """The gradients of :func:`~dealias.ops.reassemble` to ``x`` and ``weight``, empty where not needed."""
    h, w = (size * scale for size in x.shape[-2:])
    taps = weight.shape[1] // groups
    grad_x = x.new_empty(x.shape if need_x else (0,))
    grad_weight = x.new_zeros(weight.shape if need_weight else (0,), dtype=torch.promote_types(x.dtype, torch.float32))
    for samples, channels, kernels in _blocks(x, weight, groups, scale):
        block_grad = _wide(grad[samples, channels])
        up = upsample_nearest(_wide(x[samples, channels]), scale)
        block_weight = _wide(weight[samples, kernels])
        grad_up = torch.zeros_like(up)
        for tap, (dy, dx) in enumerate(window_offsets(round(taps**0.5), dilation=scale * dilation)):
            here, there = overlap(dy, dx, h, w)
            arriving = at(block_grad, here)
            if need_x:
                at(grad_up, there).addcmul_(arriving, at(block_weight[:, tap : tap + 1], here))
            if need_weight:
                at(grad_weight[samples, kernels][:, tap], here).add_((arriving * at(up, there)).sum(1))
        if need_x:
            grad_x[samples, channels] = _sum_pool(grad_up, scale)
    return grad_x, grad_weight.to(weight.dtype)


def _blocks(x: Tensor, weight: Tensor, groups: int, scale: int) -> Iterator[tuple[slice, slice, slice]]:
    """Slices of samples, channels and kernel channels: whole groups on a GPU, cache-sized blocks on a CPU."""
    n, c, h, w = x.shape
    width, taps = c // groups, weight.shape[1] // groups
    plane_bytes = max(1, h * w * scale * scale * 4)
    planes = n * width if x.is_cuda else max(1, _BLOCK_BYTES // plane_bytes)
    step, rows = min(width, planes), max(1, planes // width)
    for sample in range(0, n, rows):
        for group in range(groups):
            for channel in range(0, width, step):
                first = group * width + channel
                last = group * width + min(channel + step, width)
                yield slice(sample, sample + rows), slice(first, last), slice(group * taps, (group + 1) * taps)


def _wide(x: Tensor) -> Tensor:
    """``x`` contiguous, in at least float32: sums of half-precision products are kept in float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32)).contiguous()


def _sum_pool(x: Tensor, scale: int) -> Tensor:
    """Sum over ``scale`` x ``scale`` cells: the adjoint of nearest upsampling."""
    return x if scale == 1 else F.avg_pool2d(x, scale, divisor_override=1)
