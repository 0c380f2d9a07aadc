# SPDX-License-Identifier: Apache-2.0
"""Features of one image against the centres of its classes: cosines, and what follows from them (arXiv:2408.12879)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from .label_regions import Regions

Array = NDArray[np.float64]

_BLOCK = 2**24
"""Values of resized features that are in memory at a time, at least one channel."""

_FEWEST_CLASSES = 2


@dataclass(frozen=True)
class Measurement:
    """One image.

    Attributes:
        labels: of the classes that have a centre, K.
        intra: of each, see :func:`dealias.analysis.feature_similarity`, nan where the class does not count, [K].
        inter: likewise.
        accuracy: likewise.
        hits: number of pixels that are closest to the centre of the class, by distance from its boundary as in
            :attr:`dealias.analysis.ClassSimilarity.profile`, [K, 2 reach].
        seen: number of all pixels there.
    """

    labels: tuple[int, ...]
    intra: Array
    inter: Array
    accuracy: Array
    hits: Array
    seen: Array


@torch.no_grad()
def measure(features: Tensor, regions: list[Regions]) -> list[Measurement]:
    """Measure maps [B, C, h, w] upon the regions of their B label maps, image by image.

    Raises:
        ValueError: shapes or type, or features that are not finite.
    """
    if features.ndim != 4 or not features.is_floating_point() or len(features) != len(regions):
        raise ValueError(
            f"features must be floating maps [{len(regions)}, C, h, w], as many as label maps, "
            f"got {features.dtype} {tuple(features.shape)}"
        )
    with torch.autocast(features.device.type, enabled=False):
        return [_measure(of_image, where) for of_image, where in zip(features, regions, strict=True)]


def _measure(features: Tensor, regions: Regions) -> Measurement:
    count, cells = len(regions.labels), 2 * regions.reach
    if count < _FEWEST_CLASSES:
        unknown, none = np.full(count, np.nan), np.zeros((count, cells))
        return Measurement(regions.labels, unknown, unknown, unknown, none, none)
    cosines, between = _cosines(features, regions)
    own = regions.own.to(cosines.device)[:, None]
    to_own, to_others = cosines.gather(1, own)[:, 0], cosines.scatter(1, own, -torch.inf).amax(1)
    is_own, closest = (to_own > to_others).cpu(), cosines.argmax(1).cpu()
    own, other, depth, band = (each.cpu() for each in (regions.own, regions.other, regions.depth, regions.in_band))
    inside, outside = depth > 0, other >= 0
    # A pixel is seen twice: on the inner side of its own class, and on the outer side of the nearest other one.
    inner, outer = own * cells + regions.reach - depth, other * cells + regions.reach + depth - 1
    place, hit = torch.cat([inner[inside], outer[outside]]), torch.cat([is_own[inside], (closest == other)[outside]])
    in_band = _count(own[band], count)
    in_band[in_band == 0] = np.nan
    return Measurement(
        regions.labels,
        intra=_count(own[band], count, to_own.cpu()[band].double()) / in_band,
        inter=((between.sum(1) - between.diagonal()) / (count - 1)).cpu().double().numpy(),
        accuracy=_count(own[band], count, is_own[band].double()) / in_band,
        hits=_count(place, count * cells, hit.double()).reshape(count, cells),
        seen=_count(place, count * cells).reshape(count, cells),
    )


def _cosines(features: Tensor, regions: Regions) -> tuple[Tensor, Tensor]:
    """Cosines of pixels with centres [P, K] and of these with each other [K, K], from maps [C, h, w].

    Resizing is linear, so that means of resized features and their products with centres are had from the maps as they
    are; only lengths need the resized features, some channels at a time. A cosine with zero is zero.
    """
    features = features if features.dtype == torch.float64 else features.float()
    largest = features.abs().amax()
    if not largest.isfinite():
        raise ValueError("features must be finite, found infinite values or nan")
    tiny = torch.finfo(features.dtype).tiny
    features = features / largest.clamp(min=tiny)  # cosines stay as they are, and no square overflows
    flat, pixels = features.flatten(1), regions.pixels.to(features.device)
    centres = _interior_weights(features, regions) @ flat.T
    dots = _resized((centres @ flat).unflatten(1, features.shape[1:]), regions.size)[:, pixels]
    squares = features.new_zeros(len(pixels))
    for block in features.split(max(1, _BLOCK // (regions.size[0] * regions.size[1]))):
        squares += _resized(block, regions.size).square().sum(0)[pixels]
    products = centres @ centres.T
    lengths = products.diagonal().sqrt().clamp(min=tiny)
    cosines = dots.T / lengths / squares.sqrt().clamp(min=tiny)[:, None]
    return cosines.clamp(-1, 1).contiguous(), (products / lengths[:, None] / lengths).clamp(-1, 1)


def _interior_weights(features: Tensor, regions: Regions) -> Tensor:
    """How much each pixel of maps [C, h, w] has in the mean over the interior of each class, resized: [K, h * w]."""
    sides = zip(features.shape[1:], regions.size, strict=True)
    rows, columns = (
        functional.interpolate(_identity(small, features), large, mode="linear")[0] for small, large in sides
    )
    weights = []
    for positions in regions.interior:
        mask = features.new_zeros(regions.size[0] * regions.size[1])
        mask[positions.to(features.device)] = 1 / len(positions)
        weights.append((rows @ mask.view(regions.size) @ columns.T).flatten())
    return torch.stack(weights)


def _identity(size: int, like: Tensor) -> Tensor:
    return torch.eye(size, dtype=like.dtype, device=like.device)[None]


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps [C, h, w], bilinearly, as [C, H * W]."""
    return functional.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0].flatten(1)


def _count(places: Tensor, length: int, weights: Tensor | None = None) -> Array:
    return torch.bincount(places, weights, length).double().numpy()
