# SPDX-License-Identifier: Apache-2.0
"""Spectra of what arrives at a layer: a curve with the layer's limit, and a picture with a frame at it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dealias.analysis import LayerAliasing
from dealias.report.html.encoding import indexed_uri
from dealias.report.html.heat import heat_colours
from dealias.report.html.numbers import percent

from .layers import GRID_LIMIT

LEFT, TOP, WIDTH, HEIGHT = 64, 8, 250, 132
"""Place of the curve's frame in its drawing; lengths are units of the drawing, about a pixel."""

_LOWEST_DECADE = -6
_PICTURE_DECADES = 5
_FEW_LINES = 5


@dataclass(frozen=True)
class SpectrumChart:
    """The spectrum of a layer's input.

    Attributes:
        name: of the layer.
        line: path of the curve.
        folded: path of the area under it beyond the limit; empty if there is none.
        limit: where the limit is, ``None``: all is kept.
        x_ticks: positions with their text.
        y_ticks: likewise.
        picture: the two-dimensional spectrum, a data URI.
        frame: where the frame in the picture begins and how long its sides are, 0 to 1; ``None``: all is kept.
        sentence: what it shows.
    """

    name: str
    line: str
    folded: str
    limit: float | None
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    picture: str
    frame: tuple[float, float] | None
    sentence: str


def spectrum_charts(layers: Sequence[LayerAliasing]) -> tuple[SpectrumChart, ...]:
    """A chart for each layer, all with the same axes."""
    lowest = lowest_decade(layers)
    return tuple(_chart(layer, lowest) for layer in layers)


def lowest_decade(layers: Sequence[LayerAliasing]) -> int:
    """Where the vertical axes begin, a power of ten."""
    positive = [share for layer in layers for share in layer.radial_power if share > 0]
    return max(_LOWEST_DECADE, min(-1, math.floor(math.log10(min(positive, default=0.1)))))


def decades_per_line(lowest: int) -> int:
    """How many powers of ten lie between two lines of the grid: so many that there are at most five lines."""
    return 1 if lowest > -_FEW_LINES else 2


def _chart(layer: LayerAliasing, lowest: int) -> SpectrumChart:
    limit = None if layer.nyquist >= GRID_LIMIT else layer.nyquist
    points = [
        (_across(f), _down(share, lowest)) for f, share in zip(layer.frequencies, layer.radial_power, strict=True)
    ]
    decades = range(0, lowest - 1, -decades_per_line(lowest))
    return SpectrumChart(
        name=layer.name,
        line=_path(points),
        folded="" if limit is None else _area(points, _across(limit)),
        limit=None if limit is None else _across(limit),
        x_ticks=tuple((_across(f / 10), f"{f / 10:g}") for f in range(6)),
        y_ticks=tuple((_down(10.0**decade, lowest), f"{100 * 10.0**decade:g} %") for decade in decades),
        picture=_picture(layer),
        frame=None if limit is None else (round(0.5 - limit, 4), round(2 * limit, 4)),
        sentence=_sentence(layer, limit),
    )


def _sentence(layer: LayerAliasing, limit: float | None) -> str:
    if limit is None:
        return "The layer can keep every frequency, so nothing needs to fold."
    return f"{percent(layer.score)} % of the power lies beyond the limit at {limit:.3f}."


def _picture(layer: LayerAliasing) -> str:
    power = np.array(layer.spectrum)
    top = np.log10(max(np.nanmax(power), 1e-30))
    levels = (np.log10(np.clip(np.nan_to_num(power), 1e-30, None)) - top) / _PICTURE_DECADES + 1
    return indexed_uri(np.rint(255 * np.clip(levels, 0, 1)).astype(np.uint8), heat_colours())


def _across(frequency: float) -> float:
    return round(LEFT + WIDTH * frequency / GRID_LIMIT, 1)


def _down(share: float, lowest: int) -> float:
    decade = math.log10(share) if share > 0 else lowest
    return round(TOP + HEIGHT * min(max(decade / lowest, 0.0), 1.0), 1)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def _area(points: Sequence[tuple[float, float]], start: float) -> str:
    """What lies under the curve from ``start`` on."""
    xs, ys = zip(*points, strict=True)
    beyond = [(x, y) for x, y in points if x > start]
    bottom, right = TOP + HEIGHT, LEFT + WIDTH
    first, last = float(np.interp(start, xs, ys)), beyond[-1][1] if beyond else ys[-1]
    corners = [(start, bottom), (start, round(first, 1)), *beyond, (right, last), (right, bottom)]
    return _path(corners) + "Z"
