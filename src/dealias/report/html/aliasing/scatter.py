# SPDX-License-Identifier: Apache-2.0
"""Whether images with more aliasing have more errors: points, a line through them, and how far it can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dealias.analysis import Correlation
from dealias.report.html.charts import nice_ticks
from dealias.report.html.numbers import UNKNOWN

from .document import Document
from .words import ERROR_NAMES, signed

LEFT, TOP, WIDTH, HEIGHT = 40, 8, 250, 190

_MARGIN = 0.06


@dataclass(frozen=True)
class ScatterChart:
    """One point per image: its score, and its error by one metric, both in percent.

    Attributes:
        title: the metric.
        points: where they are, with the image's name and numbers.
        line: ends of the straight line that fits best.
        x_ticks: positions with their text.
        y_ticks: likewise.
        sentence: the correlation.
    """

    title: str
    points: tuple[tuple[float, float, str], ...]
    line: tuple[float, float, float, float]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    sentence: str


@dataclass(frozen=True)
class CorrelationRow:
    """A layer, ``None`` for the mean over the layers, and its correlation with each metric: text and number."""

    layer: str | None
    cells: tuple[tuple[str, float], ...]


def scatter_charts(document: Document) -> tuple[ScatterChart, ...]:
    """A chart for each metric of errors whose correlation is known."""
    charts = []
    for metric, errors in document.errors.items():
        found = document.correlations.get((None, metric))
        if found is not None and not math.isnan(found.pearson):
            title = f"{metric}: {ERROR_NAMES.get(metric, 'errors')}"
            charts.append(_chart(title, document.images, document.mean_scores, errors, found))
    return tuple(charts)


def correlation_rows(document: Document) -> tuple[CorrelationRow, ...]:
    """The correlations of each layer."""
    layers = dict.fromkeys(layer for layer, _ in document.correlations)
    return tuple(
        CorrelationRow(
            layer,
            tuple(
                _cell(found) if (found := document.correlations.get((layer, metric))) else (UNKNOWN, math.nan)
                for metric in document.errors
            ),
        )
        for layer in layers
    )


def describe(found: Correlation) -> str:
    """A correlation in words.

    >>> describe(Correlation(0.41, 0.38, 0.0123, 60))
    'r = 0.41 over 60 images (ranks: 0.38). Were there no connection, 1.2 % of such samples would show as much.'
    """
    chance = "less than 0.1" if found.p_value < 0.001 else f"{100 * found.p_value:.1f}"
    return (
        f"r = {signed(found.pearson)} over {found.count} images (ranks: {signed(found.spearman)}). "
        f"Were there no connection, {chance} % of such samples would show as much."
    )


def _cell(found: Correlation) -> tuple[str, float]:
    return (UNKNOWN if math.isnan(found.pearson) else signed(found.pearson)), found.pearson


def _chart(
    title: str, names: Sequence[str], scores: Sequence[float], errors: Sequence[float], found: Correlation
) -> ScatterChart:
    known = [position for position, error in enumerate(errors) if math.isfinite(error)]
    x, y = (100 * np.array([values[position] for position in known]) for values in (scores, errors))
    slope = found.pearson * y.std() / x.std()
    x_range, y_range = _range(x), _range(y)
    ends = [(edge, float(np.clip(y.mean() + slope * (edge - x.mean()), *y_range))) for edge in (x.min(), x.max())]
    places = [(_across(a, x_range), _down(b, y_range)) for a, b in (*zip(x, y, strict=True), *ends)]
    details = [f"{names[at]}: score {a:.1f} %, error {b:.1f} %" for at, a, b in zip(known, x, y, strict=True)]
    return ScatterChart(
        title=title,
        points=tuple((*place, detail) for place, detail in zip(places, details, strict=False)),
        line=(*places[-2], *places[-1]),
        x_ticks=tuple((_across(mark, x_range), f"{mark:g}") for mark in nice_ticks(*x_range)),
        y_ticks=tuple((_down(mark, y_range), f"{mark:g}") for mark in nice_ticks(*y_range)),
        sentence=describe(found),
    )


def _range(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = _MARGIN * ((high - low) or 1.0)
    return max(low - margin, 0.0), high + margin


def _across(value: float, limits: tuple[float, float]) -> float:
    return round(LEFT + WIDTH * (value - limits[0]) / (limits[1] - limits[0]), 1)


def _down(value: float, limits: tuple[float, float]) -> float:
    return round(TOP + HEIGHT * (limits[1] - value) / (limits[1] - limits[0]), 1)
