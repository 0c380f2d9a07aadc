# SPDX-License-Identifier: Apache-2.0
"""Geometry of the charts: where bars, lines and ticks lie. The templates draw them, the style sheet colours them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dealias.report.statistics import Summary

from .numbers import best_position, percent, shorten, with_spread

Point = tuple[float, float]

BAR_LEFT, BAR_WIDTH, BAR_PITCH = 108, 160, 19
"""Bars start right of the names and end left of the numbers; all lengths are units of the drawing, about a pixel."""

LINE_LEFT, LINE_TOP, LINE_WIDTH, LINE_HEIGHT = 42, 10, 366, 190

_NAME_LENGTH = 14


@dataclass(frozen=True)
class Bar:
    """A bar from ``BAR_LEFT`` on, with its whiskers, one standard deviation to each side."""

    series: int
    name: str
    label: str
    text: str
    detail: str
    top: int
    width: float
    whiskers: tuple[float, float] | None
    is_best: bool


@dataclass(frozen=True)
class BarChart:
    """Bars of one quantity; ``reference`` is where the baseline ends."""

    title: str
    bars: tuple[Bar, ...]
    reference: float | None
    height: int
    description: str


@dataclass(frozen=True)
class Line:
    """A variant: its mean as a path, and one thin path per seed where there are several."""

    series: int
    name: str
    mean: str
    seeds: tuple[str, ...]
    markers: tuple[Point, ...]


@dataclass(frozen=True)
class LineChart:
    """Lines in a frame; ticks are positions with their text."""

    title: str
    x_label: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]
    description: str


def bar_chart(title: str, scores: Mapping[str, Summary], top: float, lower_is_better: bool, paired: bool) -> BarChart:
    """Bars of one quantity for all variants.

    Args:
        title: what is shown.
        scores: fractions by variant, the baseline first; nan for what is not known.
        top: the fraction at the right end.
        lower_is_better: which end is marked best.
        paired: whether the first variant is the baseline, and gets a line through the others' bars.
    """
    best = best_position([score.mean for score in scores.values()], lower_is_better)
    bars = []
    for position, (name, score) in enumerate(scores.items()):
        mean, sd = (0.0 if math.isnan(value) else value for value in (score.mean, score.sd or 0.0))
        ends = (_on_bar(mean - sd, top), _on_bar(mean + sd, top))
        bars.append(
            Bar(
                series=position,
                name=name,
                label=shorten(name, _NAME_LENGTH),
                text=percent(score.mean),
                detail=with_spread(score),
                top=position * BAR_PITCH,
                width=_on_bar(mean, top),
                whiskers=ends if sd else None,
                is_best=position == best,
            )
        )
    reference = bars[0].width if paired and len(bars) > 1 else None
    numbers = ", ".join(f"{name} {with_spread(score)} %" for name, score in scores.items())
    return BarChart(title, tuple(bars), reference, len(bars) * BAR_PITCH, f"{title}: {numbers}")


def line_chart(
    title: str,
    x_label: str,
    runs: Mapping[str, Sequence[Mapping[float, float]]],
    x_ticks: Sequence[float] = (),
    y_ticks: Sequence[float] = (),
) -> LineChart | None:
    """Lines of one quantity over another.

    Args:
        title: what is shown.
        x_label: over what.
        runs: by variant, for each of its runs the values by position. A variant's mean is drawn where all its runs have
            a value.
        x_ticks: positions that get a tick; none: round numbers, whole ones where there are some.
        y_ticks: values that get one; none: round numbers.

    Returns:
        The chart, or ``None`` if no run has two positions to draw a line between.
    """
    if max((len(curve) for curves in runs.values() for curve in curves), default=0) < 2:
        return None
    xs = sorted({x for curves in runs.values() for curve in curves for x in curve})
    ys = [y for curves in runs.values() for curve in curves for y in curve.values()]
    low, high = min(ys), max(ys)
    high = high if high > low else low + 1.0  # a level line needs a scale too
    x_marks, y_marks = x_ticks or _whole(nice_ticks(xs[0], xs[-1])), y_ticks or nice_ticks(low, high)
    frame = _Frame((min(xs[0], *x_marks), max(xs[-1], *x_marks)), (min(low, *y_marks), max(high, *y_marks)))
    lines = []
    for position, (name, curves) in enumerate(runs.items()):
        if any(curves):
            mean = [frame.place(*point) for point in _mean_curve(curves).items()]
            seeds = [[frame.place(*point) for point in curve.items()] for curve in curves] if len(curves) > 1 else []
            markers = tuple(mean) if len(mean) <= _FEW_POINTS else ()
            lines.append(Line(position, name, _path(mean), tuple(_path(points) for points in seeds), markers))
    ends = ", ".join(f"{name} {_at_end(curves):.3g}" for name, curves in runs.items() if any(curves))
    return LineChart(
        title,
        x_label,
        tuple((frame.place(x, 0)[0], text) for x, text in _texts(x_marks)),
        tuple((frame.place(0, y)[1], text) for y, text in _texts(y_marks)),
        tuple(lines),
        f"{title} over {x_label}; at the end: {ends}",
    )


_FEW_POINTS = 12


@dataclass(frozen=True)
class _Frame:
    """The ranges that fill the frame."""

    x: tuple[float, float]
    y: tuple[float, float]

    def place(self, x: float, y: float) -> Point:
        """Where a point lies in the drawing."""
        across, up = ((value - low) / (high - low or 1.0) for value, (low, high) in ((x, self.x), (y, self.y)))
        return round(LINE_LEFT + across * LINE_WIDTH, 1), round(LINE_TOP + (1 - up) * LINE_HEIGHT, 1)


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round numbers from ``low`` to ``high``, in steps of 1, 2 or 5 times a power of ten.

    >>> nice_ticks(0.13, 1.9)
    [0.5, 1.0, 1.5]
    >>> nice_ticks(2, 2)
    [2]
    """
    if high <= low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{position * step:.12g}") for position in range(first, last + 1)]


def _whole(marks: list[float]) -> list[float]:
    """Steps are counted, so there are none in between."""
    return [mark for mark in marks if mark.is_integer()] or marks


def _texts(marks: Sequence[float]) -> list[tuple[float, str]]:
    """Each with its text, all with as many digits as one of them needs."""
    digits = max(len(f"{mark:g}".partition(".")[2]) for mark in marks)
    return [(mark, f"{mark:.{digits}f}") for mark in marks]


def _on_bar(value: float, top: float) -> float:
    return round(BAR_WIDTH * min(max(value / top, 0.0), 1.0), 1)


def _mean_curve(curves: Sequence[Mapping[float, float]]) -> dict[float, float]:
    """The mean where all curves have a value."""
    shared = sorted(set.intersection(*({*curve} for curve in curves)))
    return {x: sum(curve[x] for curve in curves) / len(curves) for x in shared}


def _at_end(curves: Sequence[Mapping[float, float]]) -> float:
    mean = _mean_curve(curves)
    return mean[max(mean)] if mean else math.nan


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) if points else ""
