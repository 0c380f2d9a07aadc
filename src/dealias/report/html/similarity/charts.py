# SPDX-License-Identifier: Apache-2.0
"""Charts: each class before and after as two dots on a line, and who is on which side of a boundary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dealias.analysis import FeatureSimilarity, MapSimilarity
from dealias.report.html.charts import nice_ticks
from dealias.report.html.numbers import percent, shorten

from .document import Document
from .rows import before_of

DOT_LEFT, DOT_TOP, DOT_WIDTH, DOT_PITCH = 112, 6, 150, 21
"""Place of the dots' frame in its drawing; lengths are units of the drawing, about a pixel."""

LEFT, TOP, WIDTH, HEIGHT = 42, 8, 270, 150
"""Place of the profile's frame."""

_NAME_LENGTH = 15


@dataclass(frozen=True)
class Dots:
    """A class: where it was (``None``: nothing is before) and is, and the numbers."""

    name: str
    label: str
    y: float
    before: float | None
    after: float
    text: str
    is_better: bool


@dataclass(frozen=True)
class DotChart:
    """One quantity of all classes of a map."""

    title: str
    rows: tuple[Dots, ...]
    ticks: tuple[tuple[float, str], ...]
    height: float
    description: str


@dataclass(frozen=True)
class ProfileChart:
    """Who is on which side of a boundary, before (empty where nothing is before) and after; and what it says."""

    before: str
    after: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    middle: float
    sentence: str


def accuracy_chart(document: Document, found: MapSimilarity) -> DotChart:
    """Similarity accuracy of each class, in percent."""
    rows = []
    for position, after in enumerate(found.after.classes):
        before = before_of(found, after.label)
        texts = [percent(of.accuracy, 0) for of in (before, after) if of is not None]
        name = document.name_of(after.label)
        rows.append(
            Dots(
                name=name,
                label=shorten(name, _NAME_LENGTH),
                y=DOT_TOP + (position + 0.5) * DOT_PITCH,
                before=None if before is None else _along(before.accuracy),
                after=_along(after.accuracy),
                text=" → ".join(texts),
                is_better=before is not None and after.accuracy > before.accuracy and len({*texts}) == 2,
            )
        )
    title = "Similarity accuracy by class, %"
    numbers = ", ".join(f"{row.name} {row.text}" for row in rows)
    ticks = tuple((_along(share), percent(share, 0)) for share in (0.0, 0.25, 0.5, 0.75, 1.0))
    return DotChart(title, tuple(rows), ticks, DOT_TOP + len(rows) * DOT_PITCH, f"{title}: {numbers}")


def profile_chart(found: MapSimilarity) -> ProfileChart:
    """The mean over the classes of the share of pixels that are closest to the class, by distance from its boundary."""
    reach = len(found.after.profile) // 2
    return ProfileChart(
        before="" if found.before is None else _line(found.before, reach),
        after=_line(found.after, reach),
        x_ticks=tuple((_across(mark, reach), f"{abs(mark):g}") for mark in nice_ticks(-reach, reach, 8)),
        y_ticks=tuple((_down(share), percent(share, 0)) for share in (0.0, 0.25, 0.5, 0.75, 1.0)),
        middle=_across(0, reach),
        sentence=_sentence(found),
    )


def _sentence(found: MapSimilarity) -> str:
    after = f"{found.after.displacement:.1f} px"
    if found.before is None or math.isnan(found.before.displacement):
        return f"Boundaries are {after} from where they should be."
    return f"Boundaries are {after} from where they should be, {found.before.displacement:.1f} px before."


def _line(of: FeatureSimilarity, reach: int) -> str:
    points = [
        (_across(place - reach + 0.5, reach), _down(share))
        for place, share in enumerate(of.profile)
        if not math.isnan(share)
    ]
    return path(points)


def path(points: Sequence[tuple[float, float]]) -> str:
    """A path through points; empty without any.

    >>> path([(1, 2.5), (3, 4)])
    'M1 2.5L3 4'
    """
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) if points else ""


def _along(share: float) -> float:
    return round(DOT_LEFT + DOT_WIDTH * min(max(share, 0.0), 1.0), 1)


def _across(distance: float, reach: int) -> float:
    return round(LEFT + WIDTH * (distance + reach) / (2 * reach), 1)


def _down(share: float) -> float:
    return round(TOP + HEIGHT * (1 - share), 1)
