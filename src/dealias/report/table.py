# SPDX-License-Identifier: Apache-2.0
"""The table of a comparison: for the terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from .comparison import Comparison, VariantSummary, is_lower_better
from .statistics import Summary, student_quantile

_WITHIN = "≈"
_UNKNOWN = "\N{EN DASH}"
_MINUS = " \u2212 "


@dataclass(frozen=True)
class Row:
    """One line of the table, ready to print; ``muted`` marks the cells whose difference the seeds do not resolve."""

    cells: tuple[str, ...]
    muted: tuple[bool, ...]
    is_difference: bool

    def extended(self, cells: tuple[str, ...]) -> Row:
        """The row with more cells, none of them muted."""
        return Row((*self.cells, *cells), (*self.muted, *[False] * len(cells)), self.is_difference)


@dataclass(frozen=True)
class Table:
    """Header, rows and the sentences below, in which every format agrees."""

    header: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def build_table(comparison: Comparison, cost: bool = True) -> Table:
    """Lay out a comparison: a row of scores per variant, then a row of paired differences per variant but the first.

    Scores are in percent, mean ± standard deviation over seeds; differences that the seeds do not resolve carry a mark.

    Args:
        comparison: what to show.
        cost: with parameters, seconds per step and steps in the last columns.
    """
    arrows = ["↓" if is_lower_better(metric) else "↑" for metric in comparison.metrics]
    titles = [f"{metric} {arrow}" for metric, arrow in zip(comparison.metrics, arrows, strict=True)]
    rows = [_score_row(variant, comparison.metrics) for variant in comparison.variants]
    rows += [_difference_row(variant, comparison.baseline, comparison.metrics) for variant in comparison.variants[1:]]
    header = ("variant", *titles)
    if cost:
        costs = [_cost(variant) for variant in comparison.variants]
        costs += [_relative_cost(variant, comparison.baseline) for variant in comparison.variants[1:]]
        header = (*header, "params M", "s/step", "steps")
        rows = [row.extended(cells) for row, cells in zip(rows, costs, strict=True)]
    return Table(header, tuple(rows), _notes(comparison))


def to_markdown(table: Table) -> str:
    """A GitHub table, numbers to the right, with the notes below."""
    lines = [_pipe(table.header), _pipe([":--", *["--:"] * (len(table.header) - 1)])]
    lines += [_pipe(row.cells) for row in table.rows]
    return "\n".join([*lines, "", *(f"{note}\n" for note in table.notes)])


def to_rich(table: Table, title: str | None = None) -> RichTable:
    """The same table for a terminal of 80 columns: spreads below their means, unresolved differences dim."""
    rich = RichTable(title=title, caption="\n".join(table.notes), box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    rich.title_justify = rich.caption_justify = "left"
    for position, name in enumerate(table.header):
        rich.add_column(name.replace(" ", "\n", 1), justify="right" if position else "left", overflow="fold")
    for row in table.rows:
        narrow = [_narrow(cell) for cell in row.cells]
        cells = [Text(cell, style="dim" if dim else "") for cell, dim in zip(narrow, row.muted, strict=True)]
        rich.add_row(*cells, style="bold" if not row.is_difference else "")
    return rich


def to_csv(comparison: Comparison) -> str:
    """One line per variant and metric, full precision, scores as fractions; empty where there is no value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        "variant metric seeds mean sd difference difference_sd within_spread parameters seconds_per_step steps".split()
    )
    for variant in comparison.variants:
        for metric, score in variant.scores.items():
            difference = variant.differences[metric] if variant.differences else None
            paired = (difference.mean, difference.sd, difference.within_spread) if difference else (None, None, None)
            cost = (variant.parameters, variant.seconds_per_step, variant.steps)
            writer.writerow([variant.name, metric, score.count, score.mean, score.sd, *paired, *cost])
    return text.getvalue()


def _score_row(variant: VariantSummary, metrics: tuple[str, ...]) -> Row:
    scores = [_percent(variant.scores[metric], signed=False) for metric in metrics]
    cells = (variant.name, *scores)
    return Row(cells, (False,) * len(cells), is_difference=False)


def _difference_row(variant: VariantSummary, baseline: VariantSummary, metrics: tuple[str, ...]) -> Row:
    found = [(variant.differences or {})[metric] for metric in metrics]
    within = [bool(difference.within_spread) for difference in found]
    cells = [
        f"{_WITHIN} {_percent(difference, signed=True)}" if muted else _percent(difference, signed=True)
        for difference, muted in zip(found, within, strict=True)
    ]
    name = f"{variant.name}{_MINUS}{baseline.name}"
    return Row((name, *cells), (False, *within), is_difference=True)


def _cost(variant: VariantSummary) -> tuple[str, ...]:
    return f"{variant.parameters / 1e6:.2f}", f"{variant.seconds_per_step:.3f}", f"{variant.steps:.0f}"


def _relative_cost(variant: VariantSummary, baseline: VariantSummary) -> tuple[str, ...]:
    return (
        f"{(variant.parameters - baseline.parameters) / 1e6:+.2f}",
        f"x{variant.seconds_per_step / baseline.seconds_per_step:.2f}",
        f"{variant.steps - baseline.steps:+.0f}" if variant.steps != baseline.steps else "",
    )


def _narrow(cell: str) -> str:
    return cell.replace(" ± ", "\n±").replace(_MINUS, f"\n{_MINUS.lstrip()}").replace(f"{_WITHIN} ", _WITHIN)


def _percent(value: Summary, signed: bool) -> str:
    if math.isnan(value.mean):
        return _UNKNOWN
    mean = f"{100 * value.mean:+.1f}" if signed else f"{100 * value.mean:.1f}"
    return mean if value.sd is None else f"{mean} ± {100 * value.sd:.1f}"


def _notes(comparison: Comparison) -> tuple[str, ...]:
    count = len(comparison.seeds)
    if count == 1:
        return (
            "Percent, one seed: the spread is unknown, so whether a difference is more than chance cannot be said.",
        )
    spread = f"Percent, mean ± standard deviation over {count} seeds; the lower rows are differences paired by seed."
    quantile = student_quantile(count - 1)
    return (
        spread,
        f"{_WITHIN} within seed spread: |mean| ≤ t·sd/√n with t = {quantile:.2f} (95 %, n = {count}), so not resolved.",
    )


def _pipe(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"
