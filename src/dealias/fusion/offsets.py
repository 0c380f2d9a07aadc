# SPDX-License-Identifier: Apache-2.0
"""Upsampling by sampling at learned offsets (DySample, arXiv:2308.15085): sub-pixel positions and the sampling itself.

Offsets have 2*groups*scale**2 channels on the coarse grid: axis (x, y), then channel group, then sub-pixel in row-major
order.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops import point_sample


def initial_positions(groups: int, scale: int) -> Tensor:
    """Offsets, in coarse pixels, from a coarse pixel's centre to its sub-pixels' centres: [1, 2*groups*scale**2, 1, 1].

    >>> initial_positions(1, 2).flatten()
    tensor([-0.2500,  0.2500, -0.2500,  0.2500, -0.2500, -0.2500,  0.2500,  0.2500])
    """
    along = (torch.arange(scale) - (scale - 1) / 2) / scale
    x, y = along.repeat(scale), along.repeat_interleave(scale)
    return torch.cat([x.repeat(groups), y.repeat(groups)]).reshape(1, -1, 1, 1)


def sample_at_offsets(feature: Tensor, offsets: Tensor, groups: int, scale: int) -> Tensor:
    """Sample ``feature`` around every coarse pixel: one bilinear sample per group and sub-pixel.

    Args:
        feature: [B, C, FH, FW]; any size, stretched over the same area as the coarse grid.
        offsets: [B, 2*groups*scale**2, h, w], from the coarse pixel's centre, in coarse pixels. Converted to float32 at
            least.
        groups: channel groups with offsets of their own.
        scale: ratio of the output to the coarse grid.

    Returns:
        [B, C, h*scale, w*scale]; border pixels repeat outside.
    """
    b, _, h, w = offsets.shape
    moved = F.pixel_shuffle(offsets.to(torch.promote_types(offsets.dtype, torch.float32)), scale)
    moved = moved.reshape(b, 2, groups, h * scale, w * scale).transpose(1, 2)
    centre_x = torch.arange(w * scale, device=moved.device).div(scale, rounding_mode="floor").to(moved.dtype) + 0.5
    centre_y = torch.arange(h * scale, device=moved.device).div(scale, rounding_mode="floor").to(moved.dtype) + 0.5
    x = (moved[:, :, 0] + centre_x) * (feature.shape[-1] / w) - 0.5
    y = (moved[:, :, 1] + centre_y[:, None]) * (feature.shape[-2] / h) - 0.5
    return point_sample(feature, torch.stack([x, y], dim=2))
