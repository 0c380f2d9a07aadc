# SPDX-License-Identifier: Apache-2.0
"""Sample images of a chapter: what the slider compares, and the scores of each image."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dealias.report.canvas import Colour
from dealias.report.comparison import is_lower_better
from dealias.report.error_kind import ErrorKind
from dealias.report.pictures import EVENLY_SPACED

from .answers import Answer, Answers, has_answers, load_answers
from .chapters import Chapter, Run
from .encoding import LARGEST_SIDE, indexed_uri, photo_uri
from .errors import ERROR_KINDS
from .evaluations import load_evaluated
from .image_tables import ImageTable, image_table
from .numbers import best_position, percent

_PIXELATED_BELOW = 400
_MODES = (("labels", "labels"), ("blend", "on the image"), ("errors", "errors"))


@dataclass(frozen=True)
class Prediction:
    """A variant's answer: layers to lie upon the image, and the percentage of wrong pixels, then by kind of error.

    ``errors`` is empty, as are the numbers, where it is not known which pixels are wrong.
    """

    variant: str
    labels: str
    errors: str
    wrong: str
    shares: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """One sample image, and why it is shown.

    Pictures are data URIs, and ``image`` is empty where only labels are known.
    """

    name: str
    why: tuple[str, ...]
    width: int
    height: int
    image: str
    truth: str
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True)
class Gallery:
    """The samples that the variants have in common, and how to read them.

    Attributes:
        rule: how the samples were chosen, a sentence; empty if there are none.
        seed: of the runs whose predictions are shown; ``None``: not known, or there is no other.
        band: width in pixels of the band around edges; ``None``: kinds of errors do not depend on it.
        kinds: of errors, in the order of their shares; none if it is not known which pixels are wrong.
        modes: what pictures can show, and what that is called.
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
    band: int | None
    kinds: tuple[ErrorKind, ...]
    modes: tuple[tuple[str, str], ...]
    classes: tuple[tuple[Colour, str], ...]
    has_ignored: bool
    variants: tuple[str, ...]
    without: tuple[str, ...]
    right: str
    samples: tuple[Shown, ...]
    tables: tuple[ImageTable, ...]
    is_pixelated: bool
    is_reduced: bool

    @property
    def ends(self) -> list[tuple[str, int]]:
        """Each reason to show an image besides the even spacing, and the position of that image."""
        reasons = [(why, position) for position, shown in enumerate(self.samples) for why in shown.why]
        return sorted((why, position) for why, position in reasons if why != EVENLY_SPACED)


class _Answer(Protocol):
    @property
    def truth(self) -> NDArray[np.uint8]: ...


class _Answers(Protocol):
    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def by_name(self) -> Mapping[str, Any]: ...


Found = TypeVar("Found", bound=_Answers)


def load_gallery(chapter: Chapter) -> Gallery | None:
    """Read the pictures of the first run of each variant that has some, or the label files of evaluations.

    Returns:
        What they have in common; ``None`` if there are neither pictures nor scores by image.

    Raises:
        ValueError: pictures are missing or broken, or do not fit each other; the file is named.
    """
    names = [variant.name for variant in chapter.comparison.variants]
    runs = {name: run for name in names if (run := _shown_run(chapter, name))}
    loaded = _load(chapter, runs)
    if not any(answers.scores or answers.by_name for answers in loaded.values()):
        return None
    alike, images = in_common(loaded)
    leading = next(iter(alike or loaded))
    first, run = loaded[leading], runs[leading]
    sizes = [first.by_name[name].truth.shape for name in images]
    without_images = any(first.by_name[name].image is None for name in images)
    return Gallery(
        rule=first.rule,
        seed=run.seed if len(chapter.comparison.seeds) > 1 else None,
        band=run.band,
        kinds=ERROR_KINDS,
        modes=tuple(mode for mode in _MODES if mode[0] != "blend" or not without_images),
        classes=tuple(zip(first.palette, first.classes, strict=True)) if images else (),
        has_ignored=any((first.by_name[name].truth == first.ignore_index).any() for name in images),
        variants=tuple(alike),
        without=tuple(name for name in names if name not in alike),
        right=leader(chapter, list(alike) or list(loaded)),
        samples=tuple(_show(name, alike) for name in images),
        tables=_tables(loaded, images),
        is_pixelated=are_pixelated(sizes),
        is_reduced=are_reduced(sizes),
    )


def _shown_run(chapter: Chapter, variant: str) -> Run | None:
    """The first run of a variant that has something to show."""
    runs = chapter.runs_of(variant)
    return next((run for run in runs if run.folder and (chapter.kind == "evaluations" or has_answers(run))), None)


def _load(chapter: Chapter, runs: Mapping[str, Run]) -> dict[str, Answers]:
    folders = {name: run.folder for name, run in runs.items() if run.folder}
    if chapter.kind == "evaluations":
        return load_evaluated(folders)
    return {name: load_answers(runs[name], folder) for name, folder in folders.items()}


def are_pixelated(sizes: Collection[Sequence[int]]) -> bool:
    """Whether pictures of these sizes are small, so that pixels should stay square and sharp."""
    return max(map(max, sizes), default=0) < _PIXELATED_BELOW


def are_reduced(sizes: Collection[Sequence[int]]) -> bool:
    """Whether one of these sizes is shown smaller than it is."""
    return max(map(max, sizes), default=0) > LARGEST_SIDE


def in_common(loaded: Mapping[str, Found]) -> tuple[dict[str, Found], list[str]]:
    """The variants with predictions of the same images, and these: what the first has, less what others lack.

    A variant that would leave no image is left out itself.

    Args:
        loaded: predictions by the name of the image in ``by_name``, each with its ``truth``, and their ``classes``.
    """
    alike: dict[str, Found] = {}
    images: list[str] = []
    for name, answers in loaded.items():
        first = next(iter(alike.values()), answers)
        shared = [image for image in images or first.by_name if _is_the_same(answers, first, image)]
        if shared:
            alike[name], images = answers, shared
    return alike, images


def _is_the_same(answers: _Answers, first: _Answers, image: str) -> bool:
    """Whether both have predictions of that image, with the same ground truth and classes."""
    found: _Answer | None = answers.by_name.get(image)
    return (
        found is not None
        and answers.classes == first.classes
        and np.array_equal(found.truth, first.by_name[image].truth)
    )


def leader(chapter: Chapter, names: list[str]) -> str:
    """The variant with the best first score besides the first variant."""
    metric = chapter.comparison.metrics[0]
    scores = {variant.name: variant.scores[metric].mean for variant in chapter.comparison.variants}
    others = names[1:] or names
    return others[best_position([scores[name] for name in others], is_lower_better(metric)) or 0]


def _tables(loaded: Mapping[str, Answers], shown: Sequence[str]) -> tuple[ImageTable, ...]:
    return tuple(
        image_table(name, answers.scores, shown) for name, answers in loaded.items() if len(answers.scores) > 1
    )


def _show(name: str, alike: Mapping[str, Answers]) -> Shown:
    first = next(iter(alike.values()))
    shown, (height, width) = first.by_name[name], first.by_name[name].truth.shape
    reasons = [answers.why.get(name, ()) for answers in alike.values()]
    return Shown(
        name=name,
        why=tuple(reason for reason in reasons[0] if all(reason in other for other in reasons)),
        width=width,
        height=height,
        image="" if shown.image is None else photo_uri(shown.image),
        truth=indexed_uri(shown.truth, first.palette),
        predictions=tuple(
            _predict(variant, answers.by_name[name], first.palette) for variant, answers in alike.items()
        ),
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
