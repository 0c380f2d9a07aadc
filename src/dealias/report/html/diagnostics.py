# SPDX-License-Identifier: Apache-2.0
"""What the demo measures besides scores: recall by width, change under shifts, and what folds at a strided layer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dealias.analysis import FILTERS, zone_plate
from dealias.report.comparison import Comparison, is_lower_better

from .charts import BarChart, LineChart, bar_chart, line_chart
from .documents import explained, number, read_object
from .encoding import indexed_uri
from .numbers import percent
from .scores import ScoreTable, score_table
from .sources import read_comparison

_PLATE = 176
"""Side in pixels: six fit beside each other on a desk, two on a phone."""

_GREYS = tuple((level, level, level) for level in range(256))
_WIDTH = re.compile(r"pole (\d+) px")


@dataclass(frozen=True)
class Filter:
    """What a filter folds and keeps, in percent; two pictures as data URIs, empty for a filter that is not known."""

    name: str
    folds: str
    keeps: str
    plate: str
    kept_samples: str


@dataclass(frozen=True)
class Diagnostics:
    """What the template shows of the diagnostics; ``None`` or empty for what was not measured."""

    table: ScoreTable | None
    recall: LineChart | None
    changes: tuple[BarChart, ...]
    stride: int
    folding: tuple[Filter, ...]


def load_diagnostics(folder: Path | None) -> Diagnostics | None:
    """Read ``diagnostics.json`` and ``folding.json``; ``None`` if neither is there.

    Raises:
        ValueError: one of them holds something else; it is named.
    """
    if folder is None:
        return None
    stride, folding = _load_folding(folder / "folding.json")
    path = folder / "diagnostics.json"
    if not path.is_file():
        return Diagnostics(None, None, (), stride, folding) if folding else None
    comparison = read_comparison(path)
    table = score_table(comparison, paired=True, cost=False)
    changes = [metric for metric in comparison.metrics if is_lower_better(metric)]
    return Diagnostics(table, _recall_chart(comparison), _change_charts(comparison, changes), stride, folding)


def _recall_chart(comparison: Comparison) -> LineChart | None:
    widths = {metric: int(found[1]) for metric in comparison.metrics if (found := _WIDTH.fullmatch(metric))}
    curves = {
        variant.name: [{float(width): 100 * variant.scores[metric].mean for metric, width in widths.items()}]
        for variant in comparison.variants
    }
    return line_chart("Recall of poles and wires, %", "width in pixels", curves, sorted(map(float, widths.values())))


def _change_charts(comparison: Comparison, metrics: Sequence[str]) -> tuple[BarChart, ...]:
    charts = []
    for metric in metrics:
        what, shift = metric.split(" ", 1)
        scores = {variant.name: variant.scores[metric] for variant in comparison.variants}
        top = max([1e-9, *(score.mean for score in scores.values())])
        charts.append(
            bar_chart(f"{what.capitalize()} changed by a shift of {shift}, %", scores, 1.1 * top, True, paired=True)
        )
    return tuple(charts)


def _load_folding(path: Path) -> tuple[int, tuple[Filter, ...]]:
    if not path.is_file():
        return 1, ()
    data = read_object(path)
    with explained(path, "a table of filters"):
        stride = int(data["stride"])
        filters = tuple(_filter(str(name), entry, stride) for name, entry in data["filters"].items())
    return stride, filters


def _filter(name: str, numbers: Mapping[str, Any], stride: int) -> Filter:
    """The pictures are drawn again, at the size of their pixels: scaled down, the rings themselves would fold."""
    folds, keeps = (percent(number(numbers[key]), 0) for key in ("folded", "kept"))
    if name not in FILTERS:
        return Filter(name, folds, keeps, "", "")
    filtered = ((FILTERS[name].apply(zone_plate(_PLATE)).clamp(-1, 1) + 1) * 127.5).round().byte().numpy()
    plate, kept_samples = (indexed_uri(levels, _GREYS) for levels in (filtered, filtered[::stride, ::stride]))
    return Filter(name, folds, keeps, plate, kept_samples)
