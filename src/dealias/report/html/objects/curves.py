# SPDX-License-Identifier: Apache-2.0
"""Curves of precision over recall, all at one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from dealias.report.html.charts import LineChart, line_chart, nice_ticks

from .metrics import GROUPS
from .sources import Curve, Document

_OVERLAPS = {"0.50": "IoU 0.50", "0.75": "IoU 0.75", "mean": "Mean of IoU 0.50 to 0.95"}
_RECALLS = (0, 20, 40, 60, 80, 100)


Runs = Mapping[str, Sequence[Document]]
"""The runs of each variant."""


def precision_charts(runs: Runs) -> tuple[tuple[str, tuple[LineChart, ...]], ...]:
    """For masks and for boxes, as far as a run has them, a chart for each overlap, with a line for each variant."""
    curves = [
        curve for of in runs.values() for document in of for by in document.curves.values() for curve in by.values()
    ]
    highest = max((100 * value for curve in curves for value in curve.values()), default=0.0)
    ticks = nice_ticks(0.0, highest or 1.0)
    scale = [*ticks, 2 * ticks[-1] - ticks[-2]] if ticks[-1] < highest else ticks
    found = []
    for group in GROUPS:
        charts = [_chart(overlap, group.key, runs, scale) for overlap in _OVERLAPS]
        drawn = tuple(chart for chart in charts if chart is not None)
        if drawn:
            found.append((group.title, drawn))
    return tuple(found)


def _chart(overlap: str, key: str, runs: Runs, scale: Sequence[float]) -> LineChart | None:
    known = {name: [document.curves.get(key, {}).get(overlap, {}) for document in of] for name, of in runs.items()}
    lines = {name: [_in_percent(curve) for curve in curves if curve] for name, curves in known.items()}
    chart = line_chart(_OVERLAPS[overlap], "recall in %; upwards: precision in %", lines, _RECALLS, scale)
    if chart is None:
        return None
    areas = ", ".join(f"{name} {fmean(map(_mean, curves)):.1f} %" for name, curves in lines.items() if curves)
    return replace(chart, description=f"Precision over recall, {chart.title}; mean precision: {areas}")


def _in_percent(curve: Curve) -> Curve:
    return {100 * recall: 100 * value for recall, value in curve.items()}


def _mean(curve: Curve) -> float:
    return fmean(curve.values())
