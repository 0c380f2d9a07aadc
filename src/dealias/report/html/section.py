# SPDX-License-Identifier: Apache-2.0
"""All that the template shows of a chapter, whatever the runs were trained for."""

from __future__ import annotations

from dataclasses import dataclass

from .chapters import Chapter
from .charts import BarChart, LineChart
from .curves import Training
from .diagnostics import Diagnostics
from .recipe import Recipe
from .samples import Gallery
from .scores import ScoreTable


@dataclass(frozen=True)
class ClassBars:
    """Bars of some classes; ``title`` is empty if there are no others."""

    title: str
    charts: tuple[BarChart, ...]


@dataclass(frozen=True)
class Section:
    """A chapter, laid out.

    Attributes:
        chapter: what it is about.
        sentences: the outcome.
        glossary: parts of the names of variants, each with a sentence.
        tables: of scores, each with its title, which is empty if there is no other.
        aliasing: scores of the stages of the encoders; ``None``: not known.
        precision: of objects, curves over recall, by what they are of.
        class_score: what the bars of classes show, short and in full.
        classes: the bars.
        are_sorted: whether the best come first.
        training: what runs logged.
        diagnostics: what the demo measures besides.
        gallery: sample images.
        recipes: how to do it again.
    """

    chapter: Chapter
    sentences: tuple[str, ...]
    glossary: tuple[tuple[str, str], ...]
    tables: tuple[tuple[str, ScoreTable], ...]
    aliasing: ScoreTable | None
    precision: tuple[tuple[str, tuple[LineChart, ...]], ...]
    class_score: tuple[str, str]
    classes: tuple[ClassBars, ...]
    are_sorted: bool
    training: Training | None
    diagnostics: Diagnostics | None
    gallery: Gallery | None
    recipes: tuple[Recipe, ...]
    template = "chapter.html.j2"

    @property
    def lacks_classes(self) -> bool:
        """Whether the images do not have all classes."""
        return sum(len(bars.charts) for bars in self.classes) < len(self.chapter.runs[0].classes)
