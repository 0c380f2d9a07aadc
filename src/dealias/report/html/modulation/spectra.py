# SPDX-License-Identifier: Apache-2.0
"""Charts: the spectra of a stage's maps with the limit of its stride, and what modulation does to a wave."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dealias.analysis import StageModulation
from dealias.report.html.numbers import percent

LEFT, TOP, WIDTH, HEIGHT = 58, 8, 300, 190
"""Place of the frame in its drawing; lengths are units of the drawing, about a pixel."""

SERIES = {
    "before": ("as it arrives", "s0 d0"),
    "modulated": ("modulated", "s1 d0"),
    "demodulated": ("modulated, sampled, brought back", "s3 d0"),
    "plain": ("sampled and brought back without modulation", "s2 d1"),
}
"""Of each map what it is, and the classes that style its curve."""

_GRID_LIMIT = 0.5
_LOWEST_DECADE = -6


@dataclass(frozen=True)
class SpectraChart:
    """The spectra of a stage.

    Attributes:
        name: of the stage.
        lines: of each map in :data:`SERIES`, its classes and its path.
        limit: where the limit is.
        x_ticks: positions with their text.
        y_ticks: likewise.
        sentence: what it shows.
    """

    name: str
    lines: tuple[tuple[str, str], ...]
    limit: float
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    sentence: str


@dataclass(frozen=True)
class Example:
    """A wave on the map and on the warped grid, as paths, with the samples that a stride keeps; 400 x 80 units each."""

    fine: str
    slow: str
    dense: tuple[tuple[float, float], ...]
    even: tuple[tuple[float, float], ...]


def spectra_charts(stages: Sequence[StageModulation]) -> tuple[SpectraChart, ...]:
    """A chart for each stage, all with the same axes."""
    positive = [share for stage in stages for curve in stage.spectra.values() for share in curve if share > 0]
    lowest = max(_LOWEST_DECADE, min(-1, math.floor(math.log10(min(positive, default=0.1)))))
    return tuple(_chart(stage, lowest) for stage in stages)


def _chart(stage: StageModulation, lowest: int) -> SpectraChart:
    lines = []
    for name, (_, classes) in SERIES.items():
        pairs = zip(stage.frequencies, stage.spectra[name], strict=True)
        lines.append((classes, _path([(_across(f), _down(share, lowest)) for f, share in pairs])))
    decades = range(0, lowest - 1, -1)
    return SpectraChart(
        name=stage.name,
        lines=tuple(lines),
        limit=_across(stage.nyquist),
        x_ticks=tuple((_across(f / 10), f"{f / 10:g}") for f in range(6)),
        y_ticks=tuple((_down(10.0**decade, lowest), f"{100 * 10.0**decade:g} %") for decade in decades),
        sentence=_sentence(stage),
    )


def _sentence(stage: StageModulation) -> str:
    shares = {name: percent(stage.aliasing[name].mean) for name in SERIES}
    return (
        f"Beyond the limit: {shares['before']} % as it arrives, {shares['modulated']} % modulated; brought back "
        f"{shares['demodulated']} %, without modulation {shares['plain']} %."
    )


def example() -> Example:
    """A map with a fine wave in its middle, sampled more densely there, and the same on the grid of the samples."""
    places = np.linspace(0, 1, 401)
    density = 1 + 4 * np.exp(-(((places - 0.5) / 0.13) ** 2))
    passed = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    passed /= passed[-1]
    kept = np.linspace(0.01, 0.99, 29)
    looked_at = np.interp(kept, passed, places)
    return Example(
        fine=_path(_placed(places, _wave(places))),
        slow=_path(_placed(passed, _wave(places))),
        dense=tuple(_placed(looked_at, _wave(looked_at))),
        even=tuple(_placed(kept, _wave(looked_at))),
    )


def _wave(places: NDArray[np.float64]) -> NDArray[np.float64]:
    fine = np.exp(-(((places - 0.5) / 0.11) ** 2)) * np.cos(2 * np.pi * 24 * (places - 0.5))
    return 0.75 * fine + 0.25 * np.cos(2 * np.pi * 1.5 * places)


def _placed(across: NDArray[np.float64], up: NDArray[np.float64]) -> list[tuple[float, float]]:
    return [(round(8 + 384 * float(x), 1), round(40 - 34 * float(y), 1)) for x, y in zip(across, up, strict=True)]


def _across(frequency: float) -> float:
    return round(LEFT + WIDTH * frequency / _GRID_LIMIT, 1)


def _down(share: float, lowest: int) -> float:
    decade = math.log10(share) if share > 0 else lowest
    return round(TOP + HEIGHT * min(max(decade / lowest, 0.0), 1.0), 1)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
