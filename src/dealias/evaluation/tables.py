# SPDX-License-Identifier: Apache-2.0
"""The scores of an evaluation for the terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import math

from rich import box
from rich.table import Table
from rich.text import Text

from dealias.report.comparison import LOWER_IS_BETTER

from .result import Evaluation
from .scoring import METRICS

_WORST_ON_TERMINAL = 3

Rows = list[list[str]]
"""Header and lines."""


def to_rich(evaluation: Evaluation) -> list[Table]:
    """Tables of all images, of classes, and of the worst images."""
    worst = _worst_rows(evaluation, _WORST_ON_TERMINAL)
    return [
        to_table(_overall_rows(evaluation), caption(evaluation)),
        to_table(_class_rows(evaluation), "Classes"),
        to_table(worst, "Worst images"),
    ]


def to_markdown(evaluation: Evaluation) -> str:
    """The same tables, with the ten worst images, what the metrics are and what was left out."""
    parts = [
        "# Evaluation",
        caption(evaluation),
        _pipes(_overall_rows(evaluation)),
        "Percent. " + "; ".join(f"{_title(metric)} {meaning}" for metric, meaning in METRICS.items()) + ".",
        "## Classes",
        _pipes(_class_rows(evaluation)),
        "## Worst images",
        "Scores of an image are means over the classes in it.",
    ]
    for metric in METRICS:
        worst = [[_code(name), percent(score)] for name, score in evaluation.worst(metric)]
        parts.append(_pipes([[f"by {metric}", "percent"], *worst]))
    if evaluation.problems:
        rows = [["file", "reason"], *([_code(problem.file), problem.reason] for problem in evaluation.problems)]
        parts += ["## Left out", _pipes(rows)]
    return "\n\n".join(parts) + "\n"


def to_csv(evaluation: Evaluation) -> str:
    """One line per score, in full precision, as fractions; empty where there is no value.

    The columns are ``scope`` (all, class or image), ``name`` of the class or image, ``metric`` and ``score``.
    """
    lines = [("all", "", metric, score) for metric, score in evaluation.scores.items()]
    for metric, scores in evaluation.class_scores.items():
        names = evaluation.scoring.classes
        lines += [("class", name, metric, score) for name, score in zip(names, scores, strict=True)]
    for image in evaluation.counts.images:
        lines += [("image", image.name, metric, score) for metric, score in zip(METRICS, image.scores, strict=True)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("scope", "name", "metric", "score"))
    writer.writerows((*line[:3], "" if math.isnan(line[3]) else repr(line[3])) for line in lines)
    return text.getvalue()


def to_table(rows: Rows, title: str) -> Table:
    """A table for the terminal; columns that begin with a number are flush right."""
    table = Table(title=Text(title), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, title_justify="left")
    for position, name in enumerate(rows[0]):
        numbers = rows[1:] and rows[1][position][:1].isdecimal()
        table.add_column(Text(name), justify="right" if numbers else "left", overflow="fold")
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    return table


def percent(score: float) -> str:
    """A fraction as percent with two decimals; of nan ``n/a``."""
    return "n/a" if math.isnan(score) else f"{100 * score:.2f}"


def caption(evaluation: Evaluation) -> str:
    """What was scored, and how, in one line."""
    scoring, folders = evaluation.scoring, evaluation.folders
    parts = [f"{len(evaluation.counts.images)} images of {folders.predictions} against {folders.ground_truth}"]
    if evaluation.problems:
        parts.append(f"INCOMPLETE: bad files left out, {len(evaluation.problems)} problems")
    if scoring.label_map:
        parts.append(f"label map of {len(scoring.label_map)} ids")
    if scoring.pred_label_map:
        parts.append(f"label map of {len(scoring.pred_label_map)} ids for predictions")
    if scoring.reduce_zero_label:
        parts.append("zero label ignored, others lowered")
    parts.append(f"{scoring.edges} edges, band of {scoring.width} px, id {scoring.ignore_index} ignored")
    return "; ".join(parts)


def _overall_rows(evaluation: Evaluation) -> Rows:
    return [[_title(metric) for metric in METRICS], [percent(score) for score in evaluation.scores.values()]]


def _class_rows(evaluation: Evaluation) -> Rows:
    scores = evaluation.class_scores
    pixels = evaluation.counts.histogram.sum(axis=(0, 2))
    share = (pixels / max(1, pixels.sum())).tolist()
    columns = [evaluation.scoring.classes, *([percent(s) for s in values] for values in (*scores.values(), share))]
    return [["class", *(f"{name} ↑" for name in scores), "of pixels"], *map(list, zip(*columns, strict=True))]


def _worst_rows(evaluation: Evaluation, count: int) -> Rows:
    rows = [["by", *map(str, range(1, count + 1))]]
    for metric in METRICS:
        found = [f"{name} {percent(score)}" for name, score in evaluation.worst(metric, count)]
        rows.append([metric, *found, *[""] * (count - len(found))])
    return rows


def _pipes(rows: Rows) -> str:
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _title(metric: str) -> str:
    return f"{metric} {'↓' if metric in LOWER_IS_BETTER else '↑'}"


def _code(text: str) -> str:
    return f"`{text}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
