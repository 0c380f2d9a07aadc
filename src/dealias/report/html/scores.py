# SPDX-License-Identifier: Apache-2.0
"""The comparison table of the page: one row per variant, the difference to the baseline below each score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from dealias.report.comparison import Comparison, VariantSummary, is_lower_better
from dealias.report.statistics import student_quantile

from .numbers import UNKNOWN, best_position, with_spread

EXPLANATIONS = {
    "aAcc": "Share of all pixels that are right.",
    "mAcc": "Mean share of the pixels of a class that are predicted as it.",
    "mBoundaryIoU": "Boundary IoU: overlap of predicted and true boundaries, mean over the classes.",
    "mIoU": "Mean intersection over union of the classes, over all pixels: the usual score.",
    "BIoU": "The same, counted only in a band around predicted and true edges.",
    "BAcc": "Mean share of the pixels of a class that are predicted as it, in that band.",
    "FErr": "False responses: share of wrong pixels in the band around predicted edges.",
    "MErr": "Merging mistakes: share of wrong pixels in the band around true edges.",
    "DErr": "Displacements: share of wrong pixels where both bands overlap.",
    "aliasing 8": "Share of the power at the input of the stage of stride 8 that the stage cannot sample: it folds.",
    "aliasing 16": "The same at the stage of stride 16.",
    "aliasing 32": "The same at the stage of stride 32.",
    "params M": "Number of parameters, in millions.",
    "s/step": "Seconds per training step, median.",
    "steps": "Training steps.",
}
"""One sentence for each column."""

_TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class Column:
    """A heading; ``lower_is_better`` is ``None`` where neither end is better."""

    name: str
    lower_is_better: bool | None


@dataclass(frozen=True)
class Cell:
    """One number.

    Attributes:
        text: for people.
        value: to sort by; nan sorts last.
        is_best: whether no other in the column is as good.
        difference: to the baseline; empty: none.
        within_spread: whether the seeds do not resolve the difference; ``None``: not known.
    """

    text: str
    value: float
    is_best: bool = False
    difference: str = ""
    within_spread: bool | None = None


@dataclass(frozen=True)
class Row:
    """A variant and its numbers."""

    name: str
    is_baseline: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class ScoreTable:
    """All that the template shows of a comparison."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    explanations: tuple[tuple[str, str], ...]


def score_table(
    comparison: Comparison, paired: bool, cost: bool, about: Mapping[str, str] = EXPLANATIONS
) -> ScoreTable:
    """Lay out a comparison.

    Args:
        comparison: what to show; scores are fractions.
        paired: whether there is a baseline, the first row.
        cost: with parameters in the last columns, and seconds per step and steps where a variant was trained.
        about: a sentence for each metric, see :data:`EXPLANATIONS`, which has those of the costs.
    """
    columns = [Column(metric, is_lower_better(metric)) for metric in comparison.metrics]
    cells = [_metric_cells(comparison, column) for column in columns]
    if cost:
        trained = not all(math.isnan(variant.seconds_per_step) for variant in comparison.variants)
        names = ("params M", "s/step", "steps") if trained else ("params M",)
        columns += [Column(name, None) for name in names]
        cells += _cost_cells(comparison.variants, paired)[: len(names)]
    rows = tuple(
        Row(variant.name, paired and variant is comparison.baseline, tuple(column[position] for column in cells))
        for position, variant in enumerate(comparison.variants)
    )
    sentences = {**EXPLANATIONS, **about}
    explanations = [(column.name, sentences[column.name]) for column in columns if column.name in sentences]
    return ScoreTable(tuple(columns), rows, _notes(comparison, paired), tuple(explanations))


def _notes(comparison: Comparison, paired: bool) -> tuple[str, ...]:
    """What the numbers are, and when a difference counts as resolved."""
    count = len(comparison.seeds)
    if len(comparison.variants) == 1 and count == 1:
        return ("Scores in percent.",)
    if not paired or count == 1:
        what = "one seed" if paired else "single results, which are not paired"
        return (f"Percent, {what}: the spread is unknown, so whether a difference is more than chance cannot be said.",)
    quantile = student_quantile(count - 1)
    return (
        f"Percent, mean ± standard deviation over {count} seeds; differences are paired by seed.",
        f"≈ within seed spread: |mean| ≤ t·sd/√n with t = {quantile:.2f} (95 %, n = {count}), so not resolved.",
    )


def _metric_cells(comparison: Comparison, column: Column) -> list[Cell]:
    means = [variant.scores[column.name].mean for variant in comparison.variants]
    best = best_position(means, bool(column.lower_is_better))
    cells = []
    for position, variant in enumerate(comparison.variants):
        score = variant.scores[column.name]
        difference = variant.differences[column.name] if variant.differences else None
        cells.append(
            Cell(
                text=with_spread(score),
                value=score.mean,
                is_best=position == best,
                difference="" if difference is None else with_spread(difference, difference=True),
                within_spread=None if difference is None else difference.within_spread,
            )
        )
    return cells


def _cost_cells(variants: tuple[VariantSummary, ...], paired: bool) -> list[list[Cell]]:
    first = variants[0]
    parameters, seconds, steps = [], [], []
    for variant in variants:
        is_other = paired and variant is not first
        more = f"{(variant.parameters - first.parameters) / 1e6:+.2f}".replace("-", "\N{MINUS SIGN}")
        ratio = variant.seconds_per_step / first.seconds_per_step if first.seconds_per_step else math.nan
        times = "" if math.isnan(ratio) else f"{_TIMES}{ratio:.2f}"
        parameters.append(Cell(f"{variant.parameters / 1e6:.2f}", variant.parameters, difference=more * is_other))
        seconds.append(
            Cell(_known(variant.seconds_per_step, ".3f"), variant.seconds_per_step, difference=times * is_other)
        )
        steps.append(Cell(_known(variant.steps, ".0f"), variant.steps))
    return [parameters, seconds, steps]


def _known(value: float, form: str) -> str:
    return UNKNOWN if math.isnan(value) else format(value, form)
