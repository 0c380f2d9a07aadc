# SPDX-License-Identifier: Apache-2.0
"""Write the page: read the directories, lay out each chapter, fill the templates, and forbid the page the network."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import dealias
from dealias._files import write_text

from . import charts
from .aliasing import ANALYSIS_FILE, AliasingSection, load_section
from .chapters import Chapter
from .class_charts import class_charts
from .curves import load_training
from .diagnostics import load_diagnostics
from .glossary import explain
from .modulation import MODULATION_FILE, ModulationSection, load_modulation
from .objects import holds_objects, load_objects
from .recipe import load_recipes
from .samples import load_gallery
from .scores import score_table
from .section import ClassBars, Section
from .similarity import SIMILARITY_FILE, SimilaritySection, load_similarity
from .sources import load_chapters
from .verdict import verdict

AnySection = Section | AliasingSection | SimilaritySection | ModulationSection

_ANALYSES: dict[str, Callable[[Path], AnySection]] = {
    ANALYSIS_FILE: load_section,
    SIMILARITY_FILE: load_similarity,
    MODULATION_FILE: load_modulation,
}
"""How to lay out an analysis, by its file."""


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
    folders = [Path(directory) for directory in directories]
    with _named(folders):
        page = render(_load(folders))
    # Names of files may hold bytes that are no text.
    write_text(out, page.encode("utf-8", "replace").decode("utf-8"))
    return out


def render(sections: Sequence[AnySection]) -> str:
    """The page, whose policy lets it run its own script and show its own pictures, and load nothing."""
    style = "".join(map(_asset, ("report.css", "aliasing.css", "similarity.css", "modulation.css")))
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
            geometry=charts,
        )
    )


@contextmanager
def _named(folders: Sequence[Path]) -> Iterator[None]:
    """Let errors by values that no chart or table can show, as numbers beyond all bounds, name the folders."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        if isinstance(error, ValueError | OSError) and (not folders or any(str(f) in str(error) for f in folders)):
            raise
        raise ValueError(f"{', '.join(map(str, folders))}: cannot be shown: {error!r}") from error


def _load(folders: Sequence[Path]) -> list[AnySection]:
    others = [folder for folder in folders if not any((folder / file).is_file() for file in _ANALYSES)]
    objects = [folder for folder in others if holds_objects(folder)]
    labels = [folder for folder in others if folder not in objects]
    chapters = load_chapters(labels) if labels or not folders else []
    analyses = [load(folder) for file, load in _ANALYSES.items() for folder in folders if (folder / file).is_file()]
    return [*map(_lay_out, chapters), *load_objects(objects), *analyses]


def _lay_out(chapter: Chapter) -> Section:
    runs = {variant.name: chapter.runs_of(variant.name) for variant in chapter.comparison.variants}
    charts = tuple(class_charts(chapter).values())
    return Section(
        chapter=chapter,
        sentences=tuple(verdict(chapter.comparison, chapter.is_paired, chapter.images)),
        glossary=explain(list(runs)) if chapter.kind == "comparison" else (),
        tables=(("", score_table(chapter.comparison, chapter.is_paired, cost=chapter.kind != "evaluations")),),
        aliasing=score_table(chapter.aliasing, chapter.is_paired, cost=False) if chapter.aliasing else None,
        precision=(),
        class_score=("IoU", "Intersection over union"),
        classes=(ClassBars("", charts),) if charts else (),
        are_sorted=False,
        training=load_training(runs),
        diagnostics=load_diagnostics(chapter.folder),
        gallery=load_gallery(chapter),
        recipes=tuple(load_recipes(chapter)),
    )


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
