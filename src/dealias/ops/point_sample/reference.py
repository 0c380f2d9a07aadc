# SPDX-License-Identifier: Apache-2.0
"""Grouped bilinear point sampling in plain torch: the definition (DySample, arXiv:2308.15085, eq. 1-2)."""

from __future__ import annotations

import torch
from torch import Tensor


def point_sample_reference(x: Tensor, points: Tensor) -> Tensor:
    """Gather the four pixels around every point and weigh them; differentiable, on any device.

    Shapes and rules are those of :func:`~dealias.ops.point_sample`. Coordinates are used in pixels as they come, so
    that no precision is lost in scaling them to -1..1 and back.
    """
    n, c, h, w = x.shape
    groups, out_h, out_w = points.shape[1], *points.shape[-2:]
    wide = torch.promote_types(x.dtype, torch.float32)
    px, py = (_clamped(points[:, :, axis].to(wide), size) for axis, size in ((0, w), (1, h)))
    left, top = (p.detach().floor() for p in (px, py))
    planes = x.to(wide).reshape(n, groups, c // groups, h * w)
    out = planes.new_zeros(n, groups, c // groups, out_h * out_w)
    for column, across in ((left, 1 - (px - left)), (left + 1, px - left)):
        for row, down in ((top, 1 - (py - top)), (top + 1, py - top)):
            index = row.clamp(max=h - 1) * w + column.clamp(max=w - 1)
            index = index.long().reshape(n, groups, 1, -1).expand(-1, -1, c // groups, -1)
            out.addcmul_(planes.gather(3, index), (across * down).reshape(n, groups, 1, -1))
    return out.reshape(n, c, out_h, out_w).to(x.dtype)


def _clamped(p: Tensor, size: int) -> Tensor:
    """``p`` limited to 0..size-1, without a gradient where the limit is reached."""
    inside = (p > 0) & (p < size - 1)
    return torch.where(inside, p, p.detach().clamp(0, size - 1))
