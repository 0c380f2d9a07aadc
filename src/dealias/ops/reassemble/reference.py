# SPDX-License-Identifier: Apache-2.0
"""Content-aware reassembly in plain torch: the definition (CARAFE, arXiv:1905.02188, eq. 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..windows import at, overlap, window_offsets


def reassemble_reference(x: Tensor, weight: Tensor, groups: int, scale: int, dilation: int = 1) -> Tensor:
    """One shifted, weighted copy of the nearest-upsampled map per tap; differentiable, on any device.

    Shapes and rules are those of :func:`~dealias.ops.reassemble`. The map is never unfolded: beside the output there is
    one upsampled copy of ``x``, and for half precision a float32 accumulator.
    """
    n, c, h, w = x.shape
    taps = weight.shape[1] // groups
    accumulate = torch.promote_types(x.dtype, torch.float32)
    up = upsample_nearest(x, scale).to(accumulate).reshape(n, groups, c // groups, h * scale, w * scale)
    kernels = weight.reshape(n, groups, taps, 1, h * scale, w * scale)
    out = torch.zeros_like(up)
    for tap, (dy, dx) in enumerate(window_offsets(round(taps**0.5), dilation=scale * dilation)):
        here, there = overlap(dy, dx, h * scale, w * scale)
        at(out, here).addcmul_(at(up, there), at(kernels[:, :, tap], here).to(accumulate))
    return out.reshape(n, c, h * scale, w * scale).to(x.dtype)


def upsample_nearest(x: Tensor, scale: int) -> Tensor:
    """Repeat every pixel of ``x`` [B, C, H, W] ``scale`` x ``scale`` times, contiguous; ``x`` itself at scale 1."""
    if scale == 1:
        return x.contiguous()
    n, c, h, w = x.shape
    return x[:, :, :, None, :, None].expand(n, c, h, scale, w, scale).reshape(n, c, h * scale, w * scale)
