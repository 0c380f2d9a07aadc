# SPDX-License-Identifier: Apache-2.0
"""Write the page: read the directories, lay out each chapter, fill the templates, and forbid the page the network."""

from __future__ import annotations

import base64
import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import dealias
from dealias._files import write_text
from dealias.report.statistics import Summary, summarize

from . import charts
from .aliasing import ANALYSIS_FILE, AliasingSection, load_section
from .chapters import Chapter
from .charts import BarChart, bar_chart
from .curves import Training, load_training
from .diagnostics import Diagnostics, load_diagnostics
from .errors import ERROR_KINDS
from .glossary import explain
from .recipe import Recipe, load_recipes
from .samples import Gallery, load_gallery
from .scores import ScoreTable, score_table
from .similarity import SIMILARITY_FILE, SimilaritySection, load_similarity
from .sources import load_chapters
from .verdict import verdict


@dataclass(frozen=True)
class Section:
    """A chapter, laid out."""

    chapter: Chapter
    sentences: tuple[str, ...]
    glossary: tuple[tuple[str, str], ...]
    scores: ScoreTable
    aliasing: ScoreTable | None
    classes: tuple[BarChart, ...]
    training: Training | None
    diagnostics: Diagnostics | None
    gallery: Gallery | None
    recipes: tuple[Recipe, ...]
    template = "chapter.html.j2"


AnySection = Section | AliasingSection | SimilaritySection


def write_report(directories: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> Path:
    """Write one self-contained HTML file about finished runs.

    Args:
        directories: of comparisons (``dealias compare``, ``demo``), a chapter each; of single runs (``fit``,
            ``validate``, ``test``) or evaluations (``evaluate``), which share a chapter if they have the same classes;
            and of analyses (``analyze``), a chapter each.
        out: the file, ending in ``.html``; replaced if it exists, and only by a whole one.

    Returns:
        The file.

    Raises:
        ValueError: ``out`` has another ending; a directory is neither of these, or a file in it is missing or broken.
    """
    out = Path(out)
    if out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"the report is an HTML file: expected a name that ends in .html, found {out}")
    sections = _load([Path(directory) for directory in directories])
    # Names of files may hold bytes that are no text.
    write_text(out, render(sections).encode("utf-8", "replace").decode("utf-8"))
    return out


def render(sections: Sequence[AnySection]) -> str:
    """The page, whose policy lets it run its own script and show its own pictures, and load nothing."""
    style = "".join(map(_asset, ("report.css", "aliasing.css", "similarity.css")))
    script = _asset("report.js") + _asset("similarity.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        _templates()
        .get_template("page.html.j2")
        .render(
            sections=sections,
            style=Markup(style),
            script=Markup(script),
            policy=policy,
            version=dealias.__version__,
            error_kinds=ERROR_KINDS,
            geometry=charts,
        )
    )


def _load(folders: Sequence[Path]) -> list[AnySection]:
    analyses = [folder for folder in folders if (folder / ANALYSIS_FILE).is_file()]
    similarities = [folder for folder in folders if (folder / SIMILARITY_FILE).is_file()]
    others = [folder for folder in folders if folder not in (*analyses, *similarities)]
    chapters = load_chapters(others) if others or not folders else []
    return [*map(_lay_out, chapters), *map(load_section, analyses), *map(load_similarity, similarities)]


def _lay_out(chapter: Chapter) -> Section:
    runs = {variant.name: chapter.runs_of(variant.name) for variant in chapter.comparison.variants}
    return Section(
        chapter=chapter,
        sentences=tuple(verdict(chapter.comparison, chapter.is_paired, chapter.images)),
        glossary=explain(list(runs)) if chapter.kind == "comparison" else (),
        scores=score_table(chapter.comparison, chapter.is_paired, cost=chapter.kind != "evaluations"),
        aliasing=score_table(chapter.aliasing, chapter.is_paired, cost=False) if chapter.aliasing else None,
        classes=_class_charts(chapter),
        training=load_training(runs),
        diagnostics=load_diagnostics(chapter.folder),
        gallery=load_gallery(chapter),
        recipes=tuple(load_recipes(chapter)),
    )


def _class_charts(chapter: Chapter) -> tuple[BarChart, ...]:
    """IoU of each class that the images have."""
    names = [variant.name for variant in chapter.comparison.variants]
    known = [run for run in chapter.runs if run.class_iou]
    charts = []
    for position, title in enumerate(known[0].classes if known else ()):
        scores = {
            name: _known_mean([run.class_iou[position] for run in known if run.variant == name]) for name in names
        }
        if any(score.count for score in scores.values()):
            charts.append(bar_chart(title, scores, top=1.0, lower_is_better=False, paired=chapter.is_paired))
    return tuple(charts)


def _known_mean(values: Sequence[float]) -> Summary:
    known = [value for value in values if not math.isnan(value)]
    return summarize(known) if known else Summary(math.nan, None, 0)


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("dealias.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _asset(name: str) -> str:
    return (files("dealias.report.html") / "assets" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """How a content security policy names the one inline script or style that it allows."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
