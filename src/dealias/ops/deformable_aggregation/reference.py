# SPDX-License-Identifier: Apache-2.0
"""Deformable aggregation in plain torch: the definition (DCNv3, arXiv:2211.05778, equation 2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..point_sample import point_sample_reference
from .taps import Geometry, tap_points


def deformable_aggregation_reference(
    x: Tensor,
    offsets: Tensor,
    weights: Tensor,
    kernel_size: int = 3,
    stride: int = 1,
    padding: int = 1,
    dilation: int = 1,
    offset_scale: float = 1.0,
) -> Tensor:
    """Sample at the points of one tap after the other and add up; differentiable, on any device.

    Shapes and rules are those of :func:`~dealias.ops.deformable_aggregation`. One pixel of zeros around the map makes
    sampling with repeated borders sampling with zeros outside.
    """
    wide = torch.promote_types(torch.promote_types(x.dtype, offsets.dtype), torch.float32)
    framed = F.pad(x.to(wide), (1, 1, 1, 1))
    groups = weights.shape[1]
    geometry = Geometry(kernel_size, stride, padding, dilation)
    out = framed.new_zeros(x.shape[0], groups, x.shape[1] // groups, *weights.shape[-2:])
    for index, points in enumerate(tap_points(offsets.to(wide), geometry, offset_scale)):
        sampled = point_sample_reference(framed, points + 1)
        out = out + sampled.unflatten(1, (groups, -1)) * weights[:, :, index, None].to(wide)
    return out.flatten(1, 2).to(x.dtype)
