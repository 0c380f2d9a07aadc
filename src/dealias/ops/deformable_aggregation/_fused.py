# SPDX-License-Identifier: Apache-2.0
"""Deformable aggregation by compiled kernels, all taps of a point at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .. import _sample_points
from .taps import Geometry, tap_points

refusal = _sample_points.refusal


def forward(x: Tensor, offsets: Tensor, weights: Tensor, geometry: Geometry, offset_scale: float) -> Tensor:
    """See :func:`~dealias.ops.deformable_aggregation`."""
    return _sample_points.forward(x, _points(offsets, geometry, offset_scale), weights.float(), border=False)


def backward(
    grad: Tensor,
    x: Tensor,
    offsets: Tensor,
    weights: Tensor,
    geometry: Geometry,
    offset_scale: float,
    need: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients with respect to x, offsets and weights; those that are not needed are left empty."""
    points = _points(offsets, geometry, offset_scale)
    wanted = (need[0], need[1], need[2])
    grad_x, grad_points, grad_weights = _sample_points.backward(grad, x, points, weights.float(), False, wanted)
    return grad_x, (grad_points * offset_scale).to(offsets.dtype), grad_weights.to(weights.dtype)


def _points(offsets: Tensor, geometry: Geometry, offset_scale: float) -> Tensor:
    return torch.stack(list(tap_points(offsets.float(), geometry, offset_scale)), dim=2)
