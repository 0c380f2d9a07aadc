# SPDX-License-Identifier: Apache-2.0
"""Lay out comparisons of networks of objects, and single runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from dealias.report.html.chapters import Chapter, Run
from dealias.report.html.class_charts import class_charts
from dealias.report.html.curves import OBJECTS, load_training
from dealias.report.html.glossary import explain
from dealias.report.html.numbers import listed, percent
from dealias.report.html.recipe import load_recipes
from dealias.report.html.scores import ScoreTable, score_table
from dealias.report.html.section import ClassBars, Section
from dealias.report.html.sources import COMPARISON_FILE, load_comparison, load_runs
from dealias.report.html.verdict import verdict

from .curves import precision_charts
from .gallery import load_object_gallery
from .metrics import GROUPS, Group, explain_column
from .sources import OBJECTS_FILE, Document, load_document

Documents = Mapping[Path, Document]
"""What runs came to, by their folders."""


def load_objects(folders: Sequence[Path]) -> list[Section]:
    """Lay out comparisons, then finished runs, those that were scored on the same kind of data and classes together.

    Raises:
        ValueError: a file in one of them is missing or broken; it is named.
    """
    sections = []
    alike: dict[Any, dict[Path, Document]] = {}
    for folder in folders:
        if (folder / COMPARISON_FILE).is_file():
            sections.append(_of_comparison(load_comparison(folder)))
        else:
            document = load_document(folder)
            alike.setdefault((document.split, document.classes, document.is_thing), {})[folder] = document
    return sections + [_of_runs(documents) for documents in alike.values()]


def _of_comparison(chapter: Chapter) -> Section:
    """With the columns that were compared; runs that are no longer there have no curves."""
    folders = [run.folder for run in chapter.runs if run.folder and (run.folder / OBJECTS_FILE).is_file()]
    documents = {folder: load_document(folder) for folder in folders}
    judged_by = chapter.comparison.metrics[0]
    judged = next((group for group in GROUPS if judged_by in group.columns.values()), GROUPS[0])
    runs = tuple(_with_classes(run, documents, judged) for run in chapter.runs)
    return _lay_out(replace(chapter, runs=runs), documents, judged, [("", _table(chapter, chapter.comparison.metrics))])


def _of_runs(documents: Documents) -> Section:
    """With all scores; runs are judged by the first that all of them have."""
    groups = [group for group in GROUPS if any(group.key in document.groups for document in documents.values())]
    groups.sort(key=lambda group: not all(group.key in document.groups for document in documents.values()))

    def read(name: str, folder: Path) -> tuple[Mapping[str, float], Run]:
        document = documents[folder]
        run = Run(name, None, document.classes, (), 0, folder, document.split)
        return document.scores, _with_classes(run, documents, groups[0])

    chapter = load_runs(list(documents), tuple(column for group in groups for column in group.columns.values()), read)
    tables = [(group.title, _table(chapter, group.columns.values(), group is groups[0])) for group in groups]
    section = _lay_out(chapter, documents, groups[0], tables)
    return replace(section, sentences=(*section.sentences, *_others(chapter, groups[1:])))


def _with_classes(run: Run, documents: Documents, judged: Group) -> Run:
    if run.folder is None or run.folder not in documents:
        return run
    document = documents[run.folder]
    known = document.by_class.get(judged.key, ())
    absent = (math.nan,) * (len(document.classes) - len(known))  # stuff where things alone are scored
    return replace(run, class_scores=known + absent)


def _lay_out(
    chapter: Chapter, documents: Documents, judged: Group, tables: Sequence[tuple[str, ScoreTable]]
) -> Section:
    runs = {variant.name: chapter.runs_of(variant.name) for variant in chapter.comparison.variants}
    folders = {name: [run.folder for run in of if run.folder is not None] for name, of in runs.items()}
    known = {name: [documents[folder] for folder in of if folder in documents] for name, of in folders.items()}
    return Section(
        chapter=chapter,
        sentences=tuple(verdict(chapter.comparison, chapter.is_paired, chapter.images)),
        glossary=explain(list(runs)) if chapter.is_paired else (),
        tables=tuple(tables),
        aliasing=score_table(chapter.aliasing, chapter.is_paired, cost=False) if chapter.aliasing else None,
        precision=precision_charts(known),
        class_score=(next(iter(judged.columns.values())), judged.noun),
        classes=_class_bars(chapter, next((document.is_thing for document in documents.values()), ())),
        are_sorted=True,
        training=load_training(runs, OBJECTS),
        diagnostics=None,
        gallery=load_object_gallery(chapter),
        recipes=tuple(load_recipes(chapter)),
    )


def _table(chapter: Chapter, columns: Iterable[str], is_first: bool = True) -> ScoreTable:
    """The costs and the notes are in the first."""
    comparison = replace(chapter.comparison, metrics=tuple(columns))
    about = {column: text for column in comparison.metrics if (text := explain_column(column))}
    table = score_table(comparison, chapter.is_paired, cost=is_first, about=about)
    return table if is_first else replace(table, notes=())


def _others(chapter: Chapter, groups: Sequence[Group]) -> list[str]:
    """The first scores of the other metrics of a single run."""
    scores = chapter.comparison.baseline.scores
    columns = [next(iter(group.columns.values())) for group in groups]
    named = [f"{percent(scores[column].mean)} % {column}" for column in columns if not math.isnan(scores[column].mean)]
    return [f"It also has {listed(named)}."] if named and len(chapter.comparison.variants) == 1 else []


def _class_bars(chapter: Chapter, is_thing: Sequence[bool]) -> tuple[ClassBars, ...]:
    """Things and stuff apart, each from the best mean over the runs down."""
    charts = sorted(class_charts(chapter).items(), key=lambda item: -_mean_score(chapter, item[0]))
    kinds = {"Things": True, "Stuff": False} if len({*is_thing}) > 1 else {"": True}
    bars = [
        ClassBars(title, tuple(chart for position, chart in charts if is_thing[position] is kind))
        for title, kind in kinds.items()
    ]
    return tuple(found for found in bars if found.charts)


def _mean_score(chapter: Chapter, position: int) -> float:
    """Of a class that some run has."""
    scores = [run.class_scores[position] for run in chapter.runs if run.class_scores]
    return fmean(score for score in scores if not math.isnan(score))
