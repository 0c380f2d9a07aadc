# SPDX-License-Identifier: Apache-2.0
"""Tables: of each stage what modulation changes, and all that was measured with its spread."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dealias.analysis import Spread
from dealias.report.html.numbers import UNKNOWN
from dealias.report.html.similarity.rows import Cell

from .document import Document


@dataclass(frozen=True)
class Column:
    """A column: its name, and which direction is better."""

    name: str
    lower_is_better: bool


CHANGES = (
    Column("beyond the limit, %", True),
    Column("lost in the stride, %", True),
    Column("fine detail kept, %", False),
)
"""Without modulation and with it."""

_PLACES = ("samples moved, px", "density at boundaries")


@dataclass(frozen=True)
class StageRow:
    """A stage: its grid, a cell for each of :data:`CHANGES`, and text with a number to sort by for each place."""

    name: str
    grid: str
    changes: tuple[Cell, ...]
    places: tuple[tuple[str, float], ...]


def place_names(document: Document) -> tuple[str, ...]:
    """Columns about where samples are; without labels nothing is known of boundaries."""
    return _PLACES[:1] if document.band is None else _PLACES


def stage_rows(document: Document) -> tuple[StageRow, ...]:
    """All stages."""
    count = len(place_names(document))
    return tuple(
        StageRow(
            name=stage.name,
            grid=f"{_grid(stage.size, 1)} → {_grid(stage.size, stage.stride)}",
            changes=(
                _change(stage.aliasing["before"], stage.aliasing["modulated"], CHANGES[0]),
                _change(stage.lost["plain"], stage.lost["demodulated"], CHANGES[1]),
                _change(stage.detail["plain"], stage.detail["demodulated"], CHANGES[2]),
            ),
            places=tuple(
                (_text(spread.mean, 2), spread.mean) for spread in (stage.displacement, stage.density)[:count]
            ),
        )
        for stage in document.stages
    )


def detailed_rows(document: Document) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Each quantity with its mean and standard deviation over the images, for each stage."""
    rows: list[tuple[str, list[str]]] = []
    for name, text in (("before", "as it arrives"), ("modulated", "modulated"), ("demodulated", "brought back")):
        rows.append((f"beyond the limit, {text}, %", _shares(document, "aliasing", name)))
    rows.append(("beyond the limit, without modulation, %", _shares(document, "aliasing", "plain")))
    for quantity, text in (("lost", "lost in the stride"), ("detail", "fine detail kept")):
        rows.append((f"{text}, %", _shares(document, quantity, "demodulated")))
        rows.append((f"{text}, without modulation, %", _shares(document, quantity, "plain")))
    for quantity, text in (("displacement", _PLACES[0]), ("flips", "reversed triangles")):
        rows.append((text, [_spread(getattr(stage, quantity), 1, 2) for stage in document.stages]))
    if document.band is not None:
        for quantity, text in (("density", _PLACES[1]), ("correlation", "correlation of density with boundaries")):
            rows.append((text, [_spread(getattr(stage, quantity), 1, 2) for stage in document.stages]))
    return tuple((text, tuple(cells)) for text, cells in rows)


def _shares(document: Document, quantity: str, name: str) -> list[str]:
    return [_spread(getattr(stage, quantity)[name], 100, 1) for stage in document.stages]


def _spread(value: Spread, factor: float, digits: int) -> str:
    mean = _text(factor * value.mean, digits)
    return mean if math.isnan(value.std) or math.isnan(value.mean) else f"{mean} ± {factor * value.std:.{digits}f}"


def _change(before: Spread, after: Spread, column: Column) -> Cell:
    old, new = _text(100 * before.mean, 1), _text(100 * after.mean, 1)
    value = 100 * after.mean
    if math.isnan(before.mean) or math.isnan(after.mean):
        return Cell("", new, "", "", value)
    if old == new:
        return Cell(old, new, "no change", "", value)
    difference = value - 100 * before.mean
    verdict = "better" if (difference < 0) == column.lower_is_better else "worse"
    return Cell(old, new, f"{difference:+.1f}".replace("-", "\N{MINUS SIGN}"), verdict, value)


def _text(value: float, digits: int) -> str:
    return UNKNOWN if math.isnan(value) else f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _grid(size: tuple[int, int], stride: int) -> str:
    height, width = (-(-length // stride) for length in size)
    return f"{height} \N{MULTIPLICATION SIGN} {width}"
