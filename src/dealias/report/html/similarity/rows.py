# SPDX-License-Identifier: Apache-2.0
"""Tables: of all maps, and of the classes of one map, before and after."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dealias.analysis import ClassSimilarity, FeatureSimilarity, MapSimilarity
from dealias.report.html.numbers import UNKNOWN

from .document import Document

MAP_NAMES = {"coarse": "coarse map", "fine": "fine map", "sum": "both added", "output": "output"}
"""What maps are called for people."""


@dataclass(frozen=True)
class Quantity:
    """A column: its name, the attribute, digits, a factor for people's units, and which direction is better."""

    name: str
    attribute: str
    digits: int
    factor: float
    lower_is_better: bool


QUANTITIES = (
    Quantity("accuracy, %", "accuracy", 1, 100, False),
    Quantity("displacement, px", "displacement", 2, 1, True),
    Quantity("margin", "margin", 3, 1, False),
    Quantity("intra", "intra", 3, 1, False),
    Quantity("inter", "inter", 3, 1, True),
)


@dataclass(frozen=True)
class Cell:
    """A number before (empty where nothing is before) and after, the difference, and whether that is for the better.

    ``value`` is what to sort by: the number after.
    """

    before: str
    after: str
    change: str
    verdict: str
    value: float


@dataclass(frozen=True)
class MapRow:
    """A map: its layer, name, size, and a cell for each of :data:`QUANTITIES`."""

    layer: str
    map: str
    size: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class ClassRow:
    """A class: its name, in how many images it counts, and the cells."""

    name: str
    images: int
    cells: tuple[Cell, ...]


def map_rows(document: Document) -> tuple[MapRow, ...]:
    """All maps."""
    return tuple(
        MapRow(
            layer=found.layer,
            map=MAP_NAMES.get(found.map, found.map),
            size=f"{found.size[0]} \N{MULTIPLICATION SIGN} {found.size[1]}, {found.channels} channels",
            cells=cells(found.before, found.after),
        )
        for found in document.maps
    )


def class_rows(document: Document, found: MapSimilarity) -> tuple[ClassRow, ...]:
    """The classes that count in a map."""
    return tuple(
        ClassRow(document.name_of(after.label), after.images, cells(before_of(found, after.label), after))
        for after in found.after.classes
    )


def before_of(found: MapSimilarity, label: int) -> ClassSimilarity | None:
    """What was measured of a class before a layer."""
    if found.before is None:
        return None
    return next((of for of in found.before.classes if of.label == label), None)


def cells(
    before: FeatureSimilarity | ClassSimilarity | None, after: FeatureSimilarity | ClassSimilarity
) -> tuple[Cell, ...]:
    """One for each quantity."""
    return tuple(
        _cell(quantity, math.nan if before is None else getattr(before, quantity.attribute), after)
        for quantity in QUANTITIES
    )


def _cell(quantity: Quantity, before: float, after: FeatureSimilarity | ClassSimilarity) -> Cell:
    value = quantity.factor * getattr(after, quantity.attribute)
    old, new = _text(quantity.factor * before, quantity.digits), _text(value, quantity.digits)
    if math.isnan(before) or math.isnan(value):
        return Cell("", new, "", "", value)
    difference = value - quantity.factor * before
    if old == new:
        return Cell(old, new, "no change", "", value)
    change = f"{difference:+.{quantity.digits}f}".replace("-", "\N{MINUS SIGN}")
    return Cell(old, new, change, "better" if (difference < 0) == quantity.lower_is_better else "worse", value)


def _text(value: float, digits: int) -> str:
    return UNKNOWN if math.isnan(value) else f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")
