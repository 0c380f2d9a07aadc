# SPDX-License-Identifier: Apache-2.0
"""Similarity across resolutions in plain torch: the definition (SAPA, arXiv:2209.12866, section 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_similarity_reference(query: Tensor, key: Tensor, kernel_size: int, scale: int) -> Tensor:
    """One inner product with the shifted keys per tap; differentiable, on any device.

    Shapes and rules are those of :func:`~dealias.ops.cross_similarity`.
    """
    n, c, h, w = key.shape
    wide = torch.promote_types(query.dtype, torch.float32)
    cells = query.to(wide).reshape(n, c, h, scale, w, scale)
    reach = kernel_size // 2
    padded = F.pad(key.to(wide), (reach, reach, reach, reach))[:, :, :, None, :, None]
    taps = [
        (cells * padded[:, :, dy : dy + h, :, dx : dx + w]).sum(dim=1)
        for dy in range(kernel_size)
        for dx in range(kernel_size)
    ]
    return torch.stack(taps, dim=1).reshape(n, kernel_size**2, h * scale, w * scale).to(query.dtype)
