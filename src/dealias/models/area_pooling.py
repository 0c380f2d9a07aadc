# SPDX-License-Identifier: Apache-2.0
"""Averages over an image of features on a warped grid.

Adaptive resampling takes more pixels where frequencies are high, so that the plain mean over its grid counts these
places more often. Weighted with the area of the source that each pixel stands for, the determinant of the map's
Jacobian, the mean is one over the image again, whatever the attention was: a classifier then needs no demodulation.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch.nn.functional as F
from torch import Tensor

from dealias.ops.warp import Warp


def area_weights(warps: Sequence[Warp], size: tuple[int, int]) -> Tensor:
    """How much of the image each pixel of a warped grid stands for.

    The maps are composed, the areas of the composition's pixels are averaged over those of the coarser grid.

    Args:
        warps: shallowest first, at least one; each one's source is the grid of the one before or laid over it.
        size: (h, w) of the grid that the weights are for: the last warp's, or a coarser one over the same area.

    Returns:
        [B, 1, h, w], not negative, mean 1 per image, in the dtype of the maps.
    """
    (xx, xy), (yx, yy) = (row.unbind(1) for row in reduce(Warp.compose, warps).jacobian().unbind(1))
    areas = (xx * yy - xy * yx).clamp(min=0)[:, None]
    weights = F.adaptive_avg_pool2d(areas, size)
    return weights / weights.mean(dim=(2, 3), keepdim=True)
