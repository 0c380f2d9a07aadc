# SPDX-License-Identifier: Apache-2.0
"""The forms to compare with: warps as published, a dense Gaussian convolution and scipy's Delaunay triangulation.

Both are measured where torch and scipy have them: the triangulation of every image on the CPU.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import Delaunay
from torch import Tensor


def inverse(map: Tensor) -> Tensor:
    """Where every pixel of the source is on the warped grid, both of one size: [B, 2, H, W]."""
    height, width = map.shape[2:]
    y, x = np.mgrid[:height, :width].astype(float)
    places = np.stack([x.ravel(), y.ravel()], 1)
    images = []
    for looks_at in map.detach().cpu().double().flatten(2).mT.numpy():
        images.append(LinearNDInterpolator(Delaunay(looks_at), places)(x, y))
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).to(map)


def saliency_map(saliency: Tensor, sigma: float = 3 / 8**0.5 / np.log(2) ** 0.5, reach: int = 5) -> Tensor:
    """Coordinates averaged by one dense two-dimensional convolution: 3 pixels wide at half height, in 11 x 11."""
    height, width = saliency.shape[2:]
    offset = torch.arange(-reach, reach + 1.0, device=saliency.device)
    squares = offset.square()
    kernel = torch.exp(-(squares[:, None] + squares) / (2 * sigma**2))
    kernels = torch.stack([kernel, kernel * offset, kernel * offset[:, None]])[:, None]
    mass, *moments = F.conv2d(F.pad(saliency, (reach,) * 4, mode="reflect"), kernels).unbind(1)
    x = torch.arange(width, device=saliency.device) + moments[0] / mass
    y = torch.arange(height, device=saliency.device)[:, None] + moments[1] / mass
    x[..., 0], x[..., -1], y[:, 0], y[:, -1] = 0, width - 1, 0, height - 1  # rounding must not bare the source's border
    return torch.stack([x, y], 1)


def sample(features: Tensor, points: Tensor) -> Tensor:
    """Bilinear values at points [B, 2, H, W] in pixels."""
    height, width = features.shape[2:]
    grid = torch.stack([(2 * points[:, 0] + 1) / width - 1, (2 * points[:, 1] + 1) / height - 1], -1)
    return F.grid_sample(features, grid, padding_mode="border", align_corners=False)


def there_and_back(saliency: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
    """Features on the warped grid of a saliency, and from there on their own grid again."""
    map = saliency_map(saliency)
    warped = sample(features, map)
    return warped, sample(warped, inverse(map))
