# SPDX-License-Identifier: Apache-2.0
"""Which images of a set are worth looking at: some evenly spaced, whatever is in them, and the ends of the scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .image_scores import ImageScores
from .pictures import EVENLY_SPACED

RANKED = "mIoU"
_LOWEST, _HIGHEST = 2, 1
_ERRORS = ("FErr", "MErr", "DErr")


@dataclass(frozen=True)
class Choice:
    """Images to show.

    Attributes:
        reasons: by position in the data set, in the order in which they are shown, why: a few words each.
        names: of the images, in the same order.
        rule: how they were chosen, part of a sentence.
    """

    reasons: Mapping[int, tuple[str, ...]]
    names: tuple[str, ...]
    rule: str


def choose_images(scores: Sequence[ImageScores], count: int, images: str) -> Choice:
    """Choose ``count`` images evenly, then those with the lowest and highest scores of the whole set.

    These are the two with the lowest and the one with the highest mIoU, the one with the highest of each of FErr, MErr
    and DErr, all as means over the variants, and the one in whose mIoU several variants differ most. Of equal images
    the first is taken, and none where all are equal.

    Args:
        scores: of each variant, of the same images in the order of the data set.
        count: evenly spaced images, see :func:`evenly_spaced`.
        images: what they are, as ``"validation"``.

    Raises:
        ValueError: no variant, or variants with scores of different images.
    """
    if not scores:
        raise ValueError("to choose images, the scores of at least one variant are needed")
    names = list(scores[0])
    if any(list(of) != names for of in scores):
        counts = ", ".join(str(len(of)) for of in scores)
        raise ValueError(f"variants have scores of different images; their numbers are {counts}")
    reasons: dict[int, list[str]] = {position: [EVENLY_SPACED] for position in evenly_spaced(len(names), count)}
    even = len(reasons)
    for position, reason in _ends(scores):
        reasons.setdefault(position, []).append(reason)
    several = " as mean over the variants, or on which these differ most" if len(scores) > 1 else ""
    added = f"; and those that are worst or best of all by a score{several}" if len(reasons) > even else ""
    rule = f"{even} of {len(names)} {images} images, evenly spaced{added}"
    return Choice(
        {position: tuple(why) for position, why in reasons.items()},
        tuple(names[position] for position in reasons),
        rule,
    )


def evenly_spaced(length: int, count: int) -> list[int]:
    """``count`` indices spread over a data set, whatever is in it: the middles of ``count`` equal parts.

    >>> evenly_spaced(100, 4), evenly_spaced(2, 5)
    ([12, 37, 62, 87], [0, 1])
    """
    count = min(count, length)
    return [(2 * position + 1) * length // (2 * count) for position in range(count)]


def _ends(scores: Sequence[ImageScores]) -> list[tuple[int, str]]:
    """Positions of the images at the ends, with the reason of each."""
    ranked = _table(scores, RANKED)
    mean = _means(ranked)
    lowest = _ranking(mean)[:-_HIGHEST][:_LOWEST]
    found = [(position, f"{'second ' * rank}lowest {RANKED}") for rank, position in enumerate(lowest)]
    found += [(position, f"highest {RANKED}") for position in _ranking(-mean)[:_HIGHEST]]
    for metric in _ERRORS:
        found += [(position, f"highest {metric}") for position in _ranking(-_means(_table(scores, metric)))[:1]]
    if len(scores) > 1:
        span = ranked.max(axis=0) - ranked.min(axis=0)
        found += [(position, f"variants differ most in {RANKED}") for position in _ranking(-span)[:1]]
    return found


def _table(scores: Sequence[ImageScores], metric: str) -> NDArray[np.float64]:
    """Of a metric: [variants, images]."""
    return np.array([[of[metric] for of in variant.values()] for variant in scores], np.float64)


def _means(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the variants that have a score of an image; nan where none has."""
    known = ~np.isnan(table)
    return np.where(known, table, 0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), math.nan)


def _ranking(values: NDArray[np.float64]) -> list[int]:
    """Positions from the smallest value up, without nan; none if all values are the same."""
    order = [int(position) for position in np.argsort(values, kind="stable") if not math.isnan(values[position])]
    return order if order and values[order[0]] < values[order[-1]] else []
