# SPDX-License-Identifier: Apache-2.0
"""Whether images with more aliasing have more errors: correlation over images (arXiv:2403.09065)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PERMUTATIONS = 9999

_FEWEST = 3
_CHUNK = 2**22

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Correlation:
    """Correlation of two quantities over images; nan where one of them is constant.

    Attributes:
        pearson: r, -1 to 1: how well a straight line describes it.
        spearman: r of the ranks: how well any rising or falling line does.
        p_value: share of random pairings of the same numbers whose pearson is as far from 0.
        count: images with both quantities.
    """

    pearson: float
    spearman: float
    p_value: float
    count: int


def correlate(scores: Sequence[float], errors: Sequence[float], seed: int = 0) -> Correlation:
    """Correlate two quantities over images, such as aliasing scores with FErr, MErr or DErr.

    The p-value is that of a permutation test: with m of the 9999 random pairings as extreme as the images' own it is
    ``(1 + m) / 10000``, so at least 0.0001. It assumes nothing about the distributions.

    Args:
        scores: one quantity by image.
        errors: the other one, in the same order. Images where either is not finite are left out.
        seed: of the random pairings.

    Raises:
        ValueError: the lengths differ, or fewer than three images are left.

    >>> found = correlate([0.1, 0.2, 0.3, 0.9], [1.0, 2.0, 3.0, 4.0])
    >>> found.spearman, found.pearson < 0.95, found.count
    (1.0, True, 4)
    """
    if len(scores) != len(errors):
        raise ValueError(f"two quantities of the same images are needed, got {len(scores)} and {len(errors)} values")
    pairs = np.array([scores, errors], np.float64)
    pairs = pairs[:, np.isfinite(pairs).all(0)]
    count = pairs.shape[1]
    if count < _FEWEST:
        raise ValueError(f"a correlation needs at least {_FEWEST} images with both quantities, got {count}")
    first, second = (_standardised(values) for values in pairs)
    pearson = _product(first, second)
    spearman = _product(*(_standardised(ranks(values)) for values in pairs))
    return Correlation(pearson, spearman, _p_value(first, second, pearson, seed), count)


def ranks(values: Vector) -> Vector:
    """Ranks from 1 on; equal values share the mean of their ranks.

    >>> ranks(np.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse].astype(np.float64)


def _standardised(values: Vector) -> Vector:
    """Values of mean 0 and square sum 1; nan if all are the same."""
    if values.min() == values.max():
        return np.full_like(values, math.nan)
    centred = values - values.mean()
    return centred / np.sqrt(np.square(centred).sum())


def _product(first: Vector, second: Vector) -> float:
    """The correlation of standardised values."""
    return float(np.clip(first @ second, -1, 1))


def _p_value(first: Vector, second: Vector, pearson: float, seed: int) -> float:
    if math.isnan(pearson):
        return math.nan
    random = np.random.default_rng(seed)
    per_chunk = max(1, _CHUNK // len(first))
    extreme = 0
    for start in range(0, PERMUTATIONS, per_chunk):
        rows = min(per_chunk, PERMUTATIONS - start)
        shuffled = random.permuted(np.broadcast_to(second, (rows, len(second))), axis=1)
        extreme += int((np.abs(shuffled @ first) >= abs(pearson) - 1e-12).sum())
    return (1 + extreme) / (1 + PERMUTATIONS)
