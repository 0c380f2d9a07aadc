# SPDX-License-Identifier: Apache-2.0
"""Features back from the grids of one or several warps to the regular grid, at any size (arXiv:2507.11893, MSAU)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor

from .grid import Size, rescale_points
from .warp import Warp, sample


def demodulate(features: Tensor, warps: Sequence[Warp], size: Size, method: str = "mesh") -> Tensor:
    """Undo warps by one bilinear sampling at the composition of their inverses.

    Args:
        features: [B, C, h, w], floating point, on the warped grid of the last warp or, after a stride, on another grid
            over the same area.
        warps: in the order in which they were applied; the source of each is the warped grid of the one before, or
            another grid over the same area. Without any, the features are resized bilinearly.
        size: (height, width) of the result, over the source of the first warp.
        method: how to invert, see :meth:`~dealias.ops.warp.Warp.locate`; gradients reach the features by either, the
            maps by ``"newton"``.

    Returns:
        [B, C, *size], dtype of ``features``.

    Raises:
        ValueError: features, warps and size do not fit together or the method is unknown.
    """
    if features.ndim != 4 or any(warp.map.shape[0] != features.shape[0] for warp in warps):
        raise ValueError(
            f"demodulate: features must be [B, C, h, w] with the batch of the warps, got {tuple(features.shape)} "
            f"and {[tuple(warp.map.shape) for warp in warps]}"
        )
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"demodulate: size must be (height, width), at least 1 each, got {tuple(size)}")
    if not warps:
        return F.interpolate(features, size, mode="bilinear", align_corners=False)
    points = warps[0].inverse(size, method).map
    for previous, warp in pairwise(warps):
        points = warp.locate(rescale_points(points, previous.grid_size, warp.size).to(warp.map.dtype), method)
    return sample(features, points, warps[-1].grid_size)
