# SPDX-License-Identifier: Apache-2.0
"""Pixel coordinates of grids that lie over the same area with half-pixel centres (``align_corners=False``)."""

from __future__ import annotations

import torch
from torch import Tensor

Size = tuple[int, int]


def rescale_points(points: Tensor, size: Size, new_size: Size) -> Tensor:
    """Points of a grid of ``size`` in pixels of one of ``new_size`` over the same area.

    Args:
        points: [B, 2, ...], (x, y) in pixels, pixel centres at integers.
        size: (height, width) of the grid that they count in.
        new_size: (height, width) of the other one; exactly the same points where it is the same.

    >>> rescale_points(torch.tensor([[0.0, 2.0]]), (4, 1), (8, 1))
    tensor([[0.0000, 4.5000]])
    """
    scale_y, scale_x = (new / old for new, old in zip(new_size, size, strict=True))
    x = points[:, 0] * scale_x + (scale_x - 1) / 2
    y = points[:, 1] * scale_y + (scale_y - 1) / 2
    return torch.stack([x, y], dim=1)


def pixel_centres(size: Size, batch: int, like: Tensor) -> Tensor:
    """The pixel centres of a grid, (x, y): [batch, 2, H, W], dtype and device of ``like``, not to be written to.

    >>> pixel_centres((1, 3), 1, torch.zeros(0))[0, :, 0]
    tensor([[0., 1., 2.],
            [0., 0., 0.]])
    """
    height, width = size
    x = torch.arange(width, device=like.device, dtype=like.dtype).expand(height, -1)
    y = torch.arange(height, device=like.device, dtype=like.dtype)[:, None].expand(-1, width)
    return torch.stack([x, y]).expand(batch, -1, -1, -1)
