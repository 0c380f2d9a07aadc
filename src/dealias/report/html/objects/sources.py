# SPDX-License-Identifier: Apache-2.0
"""Reading ``objects.json``, which :func:`dealias.train.object_results.describe_results` describes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dealias.report.html.documents import explained, number, read_object
from dealias.report.html.sources import COMPARISON_FILE, RESULTS_FILE, task_of

from .metrics import GROUPS, Group

OBJECTS_FILE = "objects.json"

TASK = "objects"

Curve = dict[float, float]
"""Precision by recall, fractions."""


@dataclass(frozen=True)
class Document:
    """What a run on objects came to.

    Attributes:
        split: what it was scored on, ``"val"`` or ``"test"``.
        classes: names, things first.
        is_thing: of the classes.
        groups: keys of the metrics that there are, see :data:`dealias.report.html.objects.metrics.GROUPS`.
        scores: fractions by column, nan where not defined.
        by_class: by key of a metric, scores of the classes, as many as it has.
        curves: by key of a metric and overlap, ``"0.50"``, ``"0.75"`` or ``"mean"``.
    """

    split: str
    classes: tuple[str, ...]
    is_thing: tuple[bool, ...]
    groups: tuple[str, ...]
    scores: Mapping[str, float]
    by_class: Mapping[str, tuple[float, ...]]
    curves: Mapping[str, Mapping[str, Curve]]


def holds_objects(folder: Path) -> bool:
    """Whether a folder is that of a finished run on objects, or of a comparison of such runs.

    Raises:
        ValueError: its results are broken.
    """
    comparison, results = folder / COMPARISON_FILE, folder / RESULTS_FILE
    if comparison.is_file():
        data = read_object(comparison)
        with explained(comparison, "a comparison"):
            return any(task_of(run) == TASK for run in data.get("runs", ()))
    return results.is_file() and task_of(read_object(results)) == TASK


def load_document(folder: Path) -> Document:
    """Read the scores of a run.

    Raises:
        ValueError: the file is missing, as of a run that was never validated, or holds something else; it is named.
    """
    path = folder / OBJECTS_FILE
    if not path.is_file():
        raise ValueError(f"{path} is missing: the run was neither validated nor tested, so it has no scores to show")
    data = read_object(path)
    with explained(path, "scores of objects"):
        known = [group for group in GROUPS if data.get(group.key) is not None]
        if not known:
            raise ValueError("it has no scores")
        classes, is_thing = tuple(map(str, data["classes"])), tuple(map(bool, data["is_thing"]))
        if len(is_thing) != len(classes):
            raise ValueError(f"is_thing of {len(is_thing)} classes, but the names of {len(classes)}")
        return Document(
            str(data["split"]),
            classes,
            is_thing,
            tuple(group.key for group in known),
            {column: number(data[group.key][name]) for group in known for name, column in group.columns.items()},
            {group.key: _by_class(group, data, len(classes), sum(is_thing)) for group in known if group.by_class},
            {group.key: _curves(data[group.key]["precision"], data["recalls"]) for group in known if _is_drawn(group)},
        )


def _is_drawn(group: Group) -> bool:
    return group.key in ("box", "mask")


def _by_class(group: Group, data: Mapping[str, Any], classes: int, things: int) -> tuple[float, ...]:
    values = tuple(number(value) for value in data[group.key][group.by_class])
    expected = classes if group.key == "panoptic" else things
    if len(values) != expected:
        raise ValueError(f"{group.by_class} of {group.key} has {len(values)} values, expected {expected}")
    return values


def _curves(precision: Mapping[str, Sequence[float | None]], recalls: Sequence[float]) -> dict[str, Curve]:
    """Those points that are defined."""
    curves = {}
    for overlap, values in precision.items():
        pairs = [(float(recall), number(value)) for recall, value in zip(recalls, values, strict=True)]
        curves[overlap] = {recall: value for recall, value in pairs if not math.isnan(value)}
    return curves
