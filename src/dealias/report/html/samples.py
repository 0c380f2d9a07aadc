# SPDX-License-Identifier: Apache-2.0
"""Sample images of a chapter: what the slider compares, and the scores of each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dealias.report.canvas import Colour
from dealias.report.pictures import INDEX_FILE

from .answers import Answer, Answers, load_answers
from .chapters import Chapter, Run
from .encoding import LARGEST_SIDE, indexed_uri, photo_uri
from .errors import ERROR_KINDS
from .evaluations import load_evaluated
from .image_tables import ImageTable, image_table
from .numbers import best_position, percent
from .scores import is_lower_better

_PIXELATED_BELOW = 400


@dataclass(frozen=True)
class Prediction:
    """A variant's answer: layers to lie upon the image, and the percentage of wrong pixels, then by kind of error."""

    variant: str
    labels: str
    errors: str
    wrong: str
    shares: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """One sample image; pictures are data URIs, and ``image`` is empty where only labels are known."""

    name: str
    width: int
    height: int
    image: str
    truth: str
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True)
class Gallery:
    """The samples that the variants have in common, and how to read them.

    Attributes:
        rule: how the samples were chosen, a sentence.
        seed: of the runs whose predictions are shown; ``None``: not known.
        band: width in pixels of the band around edges.
        classes: colour and name of each.
        has_ignored: whether some pixels have no ground truth.
        variants: with a prediction of every sample.
        without: variants that have no such predictions.
        right: the variant that is shown beside the first.
        samples: the images; none if there are scores only.
        tables: scores by image of each variant; none for a single image.
        is_pixelated: whether the pictures are small, so that pixels should stay square and sharp.
        is_reduced: whether they are shown smaller than they are.
    """

    rule: str
    seed: int | None
    band: int
    classes: tuple[tuple[Colour, str], ...]
    has_ignored: bool
    variants: tuple[str, ...]
    without: tuple[str, ...]
    right: str
    samples: tuple[Shown, ...]
    tables: tuple[ImageTable, ...]
    is_pixelated: bool
    is_reduced: bool


def load_gallery(chapter: Chapter) -> Gallery | None:
    """Read the pictures of the first run of each variant that has some, or the label files of evaluations.

    Returns:
        What all of them show; ``None`` if there are neither pictures nor scores by image.

    Raises:
        ValueError: pictures are missing or broken, or do not fit each other; the folder is named.
    """
    names = [variant.name for variant in chapter.comparison.variants]
    runs = {name: run for name in names if (run := _shown_run(chapter, name))}
    loaded = _load(chapter, runs)
    if not loaded or not (first := next(iter(loaded.values()))).scores:
        return None
    alike = {name: answers for name, answers in loaded.items() if _show_the_same(answers, first)}
    run, images = runs[next(iter(loaded))], list(first.by_name)
    shapes = [answer.truth.shape for answer in first.by_name.values()]
    return Gallery(
        rule=first.rule,
        seed=run.seed,
        band=run.band,
        classes=tuple(zip(first.palette, first.classes, strict=True)),
        has_ignored=any((answer.truth == first.ignore_index).any() for answer in first.by_name.values()),
        variants=tuple(alike),
        without=tuple(name for name in names if name not in alike),
        right=_leader(chapter, list(alike)),
        samples=tuple(
            _show(name, {of: answers.by_name[name] for of, answers in alike.items()}, first.palette) for name in images
        ),
        tables=_tables(loaded, images),
        is_pixelated=max(map(max, shapes), default=0) < _PIXELATED_BELOW,
        is_reduced=max(map(max, shapes), default=0) > LARGEST_SIDE,
    )


def _shown_run(chapter: Chapter, variant: str) -> Run | None:
    """The first run of a variant that has something to show."""
    found = (
        run
        for run in chapter.runs_of(variant)
        if run.folder and (chapter.kind == "evaluations" or (run.folder / "pictures" / INDEX_FILE).is_file())
    )
    return next(found, None)


def _load(chapter: Chapter, runs: Mapping[str, Run]) -> dict[str, Answers]:
    folders = {name: run.folder for name, run in runs.items() if run.folder}
    if chapter.kind == "evaluations":
        return load_evaluated(folders)
    return {name: load_answers(folder / "pictures", runs[name].band) for name, folder in folders.items()}


def _show_the_same(answers: Answers, first: Answers) -> bool:
    """Whether they have predictions of the same images with the same classes."""
    return answers.classes == first.classes and all(
        name in answers.by_name and np.array_equal(answers.by_name[name].truth, answer.truth)
        for name, answer in first.by_name.items()
    )


def _leader(chapter: Chapter, names: list[str]) -> str:
    """The variant with the best first score besides the first variant."""
    metric = chapter.comparison.metrics[0]
    scores = {variant.name: variant.scores[metric].mean for variant in chapter.comparison.variants}
    others = names[1:] or names
    return others[best_position([scores[name] for name in others], is_lower_better(metric)) or 0]


def _tables(loaded: Mapping[str, Answers], shown: Sequence[str]) -> tuple[ImageTable, ...]:
    return tuple(
        image_table(name, answers.scores, shown) for name, answers in loaded.items() if len(answers.scores) > 1
    )


def _show(name: str, answers: Mapping[str, Answer], palette: Sequence[Colour]) -> Shown:
    first = next(iter(answers.values()))
    height, width = first.truth.shape
    return Shown(
        name=name,
        width=width,
        height=height,
        image="" if first.image is None else photo_uri(first.image),
        truth=indexed_uri(first.truth, palette),
        predictions=tuple(_predict(variant, answer, palette) for variant, answer in answers.items()),
    )


def _predict(variant: str, answer: Answer, palette: Sequence[Colour]) -> Prediction:
    counts = np.bincount(answer.kinds.ravel(), minlength=1 + len(ERROR_KINDS))[1:]
    colours = ((0, 0, 0), *(kind.colour for kind in ERROR_KINDS))
    return Prediction(
        variant=variant,
        labels=indexed_uri(answer.prediction, palette),
        errors=indexed_uri(answer.kinds, colours, clear=0),
        wrong=percent(counts.sum() / answer.kinds.size),
        shares=tuple(percent(count / answer.kinds.size) for count in counts),
    )
