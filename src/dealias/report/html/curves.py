# SPDX-License-Identifier: Apache-2.0
"""Training curves from the ``metrics.csv`` of runs, thinned to what a chart can show."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .chapters import Run
from .charts import LineChart, line_chart
from .documents import explained

HISTORY_FILE = "metrics.csv"

History = list[dict[str, float]]
Curve = dict[float, float]

Quantities = Sequence[tuple[str, str, float]]
"""Columns of a history, each with its title and the factor by which it is shown."""

SEGMENTATION: Quantities = (
    ("train/loss", "Training loss", 1.0),
    ("train/high_frequency_loss", "Attention away from label edges, training loss", 1.0),
    ("val/mIoU", "mIoU on validation, %", 100.0),
    ("val/BIoU", "BIoU on validation, %", 100.0),
)
OBJECTS: Quantities = (
    ("train/loss", "Training loss", 1.0),
    ("val/PQ", "PQ on validation, %", 100.0),
    ("val/mask_AP", "mask AP on validation, %", 100.0),
    ("val/box_AP", "box AP on validation, %", 100.0),
)
_VALIDATION = "val/"
_BINS = 150


@dataclass(frozen=True)
class Training:
    """Charts of what runs logged; ``validated_once``: there is none of validation, since no run has two of them."""

    charts: tuple[LineChart, ...]
    validated_once: bool


def load_training(runs: Mapping[str, Sequence[Run]], quantities: Quantities = SEGMENTATION) -> Training | None:
    """Charts of what the runs logged; a quantity that no run logged twice is left out.

    Args:
        runs: by variant.
        quantities: that get a chart.

    Returns:
        ``None`` if nothing is left.

    Raises:
        ValueError: a ``metrics.csv`` holds something else; it is named.
    """
    wanted = {"step", *(column for column, *_ in quantities)}
    histories = {name: [_read(run.folder, wanted) for run in of if run.folder is not None] for name, of in runs.items()}
    curves = {column: _curves(histories, column, factor) for column, _, factor in quantities}
    charts = {column: line_chart(title, "training step", curves[column]) for column, title, _ in quantities}
    drawn = tuple(chart for chart in charts.values() if chart is not None)
    validated = [column for column in curves if column.startswith(_VALIDATION) and any(curves[column].values())]
    once = bool(validated) and all(charts[column] is None for column in validated)
    return Training(drawn, once) if drawn else None


def _curves(histories: Mapping[str, Sequence[History]], column: str, factor: float) -> dict[str, list[Curve]]:
    """By variant, the values of a column by step; thinned if there are more than a chart can show."""
    curves = {
        name: [
            {row["step"]: factor * row[column] for row in history if math.isfinite(row.get(column, math.nan))}
            for history in of
        ]
        for name, of in histories.items()
    }
    of_all = [curve for of in curves.values() for curve in of]
    if max(map(len, of_all), default=0) > _BINS:
        width = max(step for curve in of_all for step in curve) / _BINS
        curves = {name: [_thin(curve, width) for curve in of] for name, of in curves.items()}
    return {name: [curve for curve in of if curve] for name, of in curves.items()}


def _thin(curve: Curve, width: float) -> Curve:
    """Means over intervals of so many steps, each at the middle of its interval; the same for all runs."""
    intervals: defaultdict[int, list[float]] = defaultdict(list)
    for step, value in curve.items():
        intervals[min(int(step / width), _BINS - 1)].append(value)
    return {(number + 0.5) * width: sum(values) / len(values) for number, values in sorted(intervals.items())}


def _read(folder: Path, wanted: set[str]) -> History:
    path = folder / HISTORY_FILE
    if not path.is_file():
        return []
    with explained(path, "a training history"), path.open(encoding="utf-8", newline="") as file:
        rows = [{key: float(row[key]) for key in wanted & {*row} if row[key]} for row in csv.DictReader(file)]
        return [row for row in rows if math.isfinite(row["step"])]
