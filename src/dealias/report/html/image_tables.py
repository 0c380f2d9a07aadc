# SPDX-License-Identifier: Apache-2.0
"""The best and the worst images of each variant by each score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dealias.report.comparison import is_lower_better

from .numbers import best_position, percent
from .scores import Column

_ALL_UP_TO = 30
_EACH_END = 5


@dataclass(frozen=True)
class ImageCell:
    """A score of an image; ``mark`` is "best" or "worst" of its column, or empty."""

    text: str
    value: float
    mark: str


@dataclass(frozen=True)
class ImageRow:
    """An image; ``position`` is where the gallery shows it, ``None``: it does not."""

    name: str
    position: int | None
    cells: tuple[ImageCell, ...]


@dataclass(frozen=True)
class ImageTable:
    """Scores of a variant by image; ``total`` is the number of images, which may be more than the rows."""

    variant: str
    columns: tuple[Column, ...]
    rows: tuple[ImageRow, ...]
    total: int


def image_table(variant: str, scores: Mapping[str, Mapping[str, float]], shown: Sequence[str]) -> ImageTable:
    """Lay out scores of single images: of all if they are few, otherwise the ends of each column; the worst first.

    Args:
        variant: whose they are.
        scores: fractions by image, then by metric.
        shown: names of the images in the gallery.
    """
    metrics = list(next(iter(scores.values())))
    by_metric = {metric: [of[metric] for of in scores.values()] for metric in metrics}
    ends = {metric: _ends(values, is_lower_better(metric)) for metric, values in by_metric.items()}
    names = list(scores)
    kept = {*range(len(names))}
    if len(names) > _ALL_UP_TO:
        kept = {position for metric in metrics for position in _extremes(by_metric[metric])}
    ranked = _worst_first(by_metric[metrics[0]], is_lower_better(metrics[0]))
    rows = tuple(
        ImageRow(
            names[position],
            shown.index(names[position]) if names[position] in shown else None,
            tuple(
                ImageCell(percent(values[position]), values[position], ends[metric].get(position, ""))
                for metric, values in by_metric.items()
            ),
        )
        for position in ranked
        if position in kept
    )
    columns = tuple(Column(metric, is_lower_better(metric)) for metric in metrics)
    return ImageTable(variant, columns, rows, len(names))


def _worst_first(values: list[float], lower_is_better: bool) -> list[int]:
    """Positions; what has no value comes last."""
    sign = -1 if lower_is_better else 1
    return sorted(range(len(values)), key=lambda position: (math.isnan(values[position]), sign * values[position]))


def _ends(values: list[float], lower_is_better: bool) -> dict[int, str]:
    """Marks by position; none if all values are the same."""
    found = {best_position(values, not lower_is_better): "worst", best_position(values, lower_is_better): "best"}
    return {position: mark for position, mark in found.items() if position is not None}


def _extremes(values: list[float]) -> list[int]:
    """Positions of the smallest and the largest values; nan is neither."""
    ranked = sorted((value, position) for position, value in enumerate(values) if value == value)
    return [position for _, position in ranked[:_EACH_END] + ranked[-_EACH_END:]]
