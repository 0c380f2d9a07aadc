# SPDX-License-Identifier: Apache-2.0
"""Pictures of features: their directions as colours, and small copies whose cosines are nearly the same."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_COLOUR_RANGE = (0.01, 0.99)
"""Quantiles that become the darkest and the brightest value: single pixels must not use up the range."""

_LARGEST_INT8 = 127


def direction_colours(maps: Sequence[Tensor]) -> list[Tensor]:
    """The directions of features as colours that compare across maps: equal colours, similar directions.

    Every feature is brought to length 1; red, green and blue are its components along the three principal axes of all
    maps together, from the strongest on, each spread over the same range in all maps.

    Args:
        maps: [C, h, w] each, with the same C, floating.

    Returns:
        Of each map [h, w, 3], uint8.

    Raises:
        ValueError: no maps, or of different channels.
    """
    units = _units(maps)
    vectors = torch.cat([unit.flatten(1) for unit in units], 1)
    middle = vectors.mean(1, keepdim=True)
    axes = _axes(vectors - middle, 3)
    low, high = torch.quantile(_sample(axes.T @ (vectors - middle)), torch.tensor(_COLOUR_RANGE).to(vectors), dim=1)
    colours = []
    for unit in units:
        components = axes.T @ (unit.flatten(1) - middle)
        spread = (components - low[:, None]) / (high - low).clamp(min=1e-12)[:, None]
        levels = torch.full((3, spread.shape[1]), 0.5).to(spread)
        levels[: len(spread)] = spread.clamp(0, 1)
        colours.append((255 * levels).round().byte().T.reshape(*unit.shape[1:], 3).cpu())
    return colours


def compact_directions(maps: Sequence[Tensor], count: int = 16) -> tuple[list[Tensor], float]:
    """Small copies of features, for pictures of cosines: the ``count`` strongest directions of all maps together.

    The cosine of two features is nearly that of their copies, dot product over lengths.

    Args:
        maps: [C, h, w] each, with the same C, floating.
        count: of directions, at most; C if that is less.

    Returns:
        Of each map [count, h, w], int8, of length 127 up to rounding; and the share of the power of the features,
        brought to length 1, that these directions hold, 0 to 1.

    Raises:
        ValueError: no maps, or of different channels.
    """
    units = _units(maps)
    vectors = torch.cat([unit.flatten(1) for unit in units], 1)
    axes = _axes(vectors, count)
    copies, kept = [], 0.0
    for unit in units:
        projected = torch.einsum("cn,chw->nhw", axes, unit)
        lengths = projected.square().sum(0).sqrt()
        kept += lengths.square().sum().item()
        copies.append((_LARGEST_INT8 * projected / lengths.clamp(min=1e-12)).round().to(torch.int8).cpu())
    return copies, kept / max(vectors.square().sum().item(), 1e-12)


def _units(maps: Sequence[Tensor]) -> list[Tensor]:
    """Features [C, h, w] of length 1; zeros stay zeros."""
    if not maps or any(each.ndim != 3 or each.shape[0] != maps[0].shape[0] for each in maps):
        raise ValueError(f"maps must be [C, h, w] with one C, got {[tuple(each.shape) for each in maps]}")
    return [torch.nn.functional.normalize(each.double(), dim=0) for each in maps]


def _axes(vectors: Tensor, count: int) -> Tensor:
    """The ``count`` strongest principal axes of vectors [C, N], [C, count]; of each, the largest entry is positive."""
    _, axes = torch.linalg.eigh(vectors @ vectors.T)
    axes = axes.flip(1)[:, :count]
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    return axes * torch.where(largest < 0, -1.0, 1.0)


def _sample(components: Tensor) -> Tensor:
    """Evenly spaced columns, at most so many as a quantile takes."""
    step = -(-components.shape[1] // 10**6)
    return components[:, ::step]
