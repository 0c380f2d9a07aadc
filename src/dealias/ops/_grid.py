# SPDX-License-Identifier: Apache-2.0
"""Points in pixels as ``grid_sample`` takes them, and their gradients back in pixels.

Numbers are multiplied one by one: a tensor of them would have to be sent to a GPU, which waits for that.
"""

from __future__ import annotations

import torch
from torch import Tensor


def to_grid(points: Tensor, planes: Tensor) -> Tensor:
    """Points [N, 2, OH, OW], (x, y) in pixels of ``planes`` [..., H, W], to [N, OH, OW, 2], outer edges at -1 and 1."""
    places = zip(points.unbind(1), _width_and_height(planes), strict=True)
    return torch.stack([(place + 0.5) / (size / 2) - 1 for place, size in places], dim=-1)


def gradient_in_pixels(grad_grid: Tensor, planes: Tensor) -> Tensor:
    """The gradient to such a grid as one to the points, [N, 2, OH, OW]."""
    gradients = zip(grad_grid.unbind(-1), _width_and_height(planes), strict=True)
    return torch.stack([gradient / (size / 2) for gradient, size in gradients], dim=1)


def _width_and_height(planes: Tensor) -> tuple[int, int]:
    return planes.shape[-1], planes.shape[-2]
