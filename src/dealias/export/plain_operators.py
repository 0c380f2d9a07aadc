# SPDX-License-Identifier: Apache-2.0
"""The registered operators as graphs of standard torch operators, for any size that is not known yet.

Neighbours are cut from a padded map by padding of negative width, so that no size is compared with another, and nothing
is written in place: other formats have neither. Values differ from the operators' by rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import dealias.ops  # noqa: F401  # registers the operators
from dealias.ops.deformable_aggregation.taps import Geometry, tap_points
from dealias.ops.kernel_normalize import kernel_normalize_reference
from dealias.ops.local_similarity.reference import vector_norms
from dealias.ops.reassemble.reference import upsample_nearest
from dealias.ops.windows import window_offsets


def plain_operators() -> Mapping[Any, Callable[..., Any]]:
    """For every registered operator that networks use forward, a function of the same arguments."""
    operators = torch.ops.dealias
    return {
        operators.reassemble.default: _reassemble,
        operators.reassemble_softmax.default: _reassemble_softmax,
        operators.kernel_normalize.default: kernel_normalize_reference,
        operators.local_similarity.default: _local_similarity,
        operators.cross_similarity.default: _cross_similarity,
        operators.point_sample.default: _point_sample,
        operators.deformable_aggregation.default: _deformable_aggregation,
    }


def _reassemble(x: Tensor, weight: Tensor, groups: int, scale: int, dilation: int = 1) -> Tensor:
    taps = weight.shape[1] // groups
    wide = torch.promote_types(x.dtype, torch.float32)
    up = upsample_nearest(x.to(wide), scale).unflatten(1, (groups, -1))
    kernels = weight.to(wide).unflatten(1, (groups, taps)).split(1, dim=2)
    total = torch.zeros_like(up)
    shifted = _shifted(up, window_offsets(round(taps**0.5), dilation * scale))
    for kernel, neighbours in zip(kernels, shifted, strict=True):
        total = torch.addcmul(total, neighbours, kernel)
    return total.flatten(1, 2).to(x.dtype)


def _reassemble_softmax(
    x: Tensor,
    logits: Tensor,
    window: Tensor | None,
    kernel_size: int,
    groups: int,
    scale: int,
    dilation: int,
    sharpen: bool = False,
) -> Tensor:
    kernels = kernel_normalize_reference(logits, kernel_size, window)
    smooth = _reassemble(x, kernels, groups, scale, dilation)
    return 2 * x - smooth if sharpen else smooth


def _local_similarity(x: Tensor, kernel_size: int, dilation: int, metric: str) -> Tensor:
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    unit = wide / vector_norms(wide)[:, None] if metric == "cosine" else wide
    offsets = [offset for offset in window_offsets(kernel_size, dilation) if offset != (0, 0)]
    return torch.stack([(unit * other).sum(dim=1) for other in _shifted(unit, offsets)], dim=1).to(x.dtype)


def _cross_similarity(query: Tensor, key: Tensor, kernel_size: int, scale: int) -> Tensor:
    wide = torch.promote_types(query.dtype, torch.float32)
    fine, up = query.to(wide), upsample_nearest(key.to(wide), scale)
    shifted = _shifted(up, window_offsets(kernel_size, scale))
    return torch.stack([(fine * coarse).sum(dim=1) for coarse in shifted], dim=1).to(query.dtype)


def _shifted(x: Tensor, offsets: Iterable[tuple[int, int]]) -> Iterator[Tensor]:
    """For every offset (dy, dx) the map whose pixels are these neighbours of the pixels of x [..., H, W], or zero."""
    offsets = list(offsets)
    reach = max(max(offset) for offset in offsets)
    padded = F.pad(x, (reach,) * 4)
    for dy, dx in offsets:
        yield torch.ops.aten.constant_pad_nd(padded, (-reach - dx, dx - reach, -reach - dy, dy - reach))


def _point_sample(x: Tensor, points: Tensor) -> Tensor:
    wide = torch.promote_types(x.dtype, points.dtype)
    sampled = _sample(x.to(wide), points.to(wide), "border")
    return sampled.to(x.dtype)


def _deformable_aggregation(
    x: Tensor, offsets: Tensor, weights: Tensor, geometry: Sequence[int], offset_scale: float
) -> Tensor:
    wide = torch.promote_types(torch.promote_types(x.dtype, offsets.dtype), torch.float32)
    map, shares = x.to(wide), weights.to(wide)
    total: Any = 0
    for tap, points in enumerate(tap_points(offsets.to(wide), Geometry(*geometry), offset_scale)):
        sampled = _sample(map, points, "zeros").unflatten(1, (weights.shape[1], -1))
        total = total + sampled * shares[:, :, tap, None]
    return total.flatten(1, 2).to(x.dtype)


def _sample(x: Tensor, points: Tensor, outside: str) -> Tensor:
    """Bilinear samples [B, C, OH, OW] of x [B, C, H, W] at points [B, groups, 2, OH, OW], (x, y) in pixels."""
    groups = points.shape[1]
    planes = x.unflatten(1, (groups, -1)).flatten(0, 1)
    across, down = ((2 * points[:, :, axis] + 1) / size - 1 for axis, size in ((0, x.shape[3]), (1, x.shape[2])))
    grid = torch.stack([across, down], dim=-1).flatten(0, 1)
    sampled = F.grid_sample(planes, grid, mode="bilinear", padding_mode=outside, align_corners=False)
    return sampled.unflatten(0, (-1, groups)).flatten(1, 2)
