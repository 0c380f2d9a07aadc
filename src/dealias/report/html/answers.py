# SPDX-License-Identifier: Apache-2.0
"""Predictions beside their ground truth, each with its errors, and the scores of every image alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dealias.report.canvas import Colour
from dealias.report.image_scores import image_scores_path, read_image_scores
from dealias.report.outcome import METRICS
from dealias.report.pictures import INDEX_FILE, Pictures, Sample, load_pictures

from .chapters import Run
from .errors import error_kinds

_PICTURES = f"pictures/{INDEX_FILE}"


@dataclass(frozen=True)
class Answer:
    """A prediction of an image [H, W, 3], which is ``None`` where only labels are known.

    ``kinds`` is as :func:`dealias.report.html.errors.error_kinds` has it.
    """

    image: NDArray[np.uint8] | None
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    kinds: NDArray[np.uint8]


@dataclass(frozen=True)
class Answers:
    """Predictions of a variant.

    Attributes:
        classes: names.
        palette: their colours.
        ignore_index: ground truth that is never wrong.
        rule: which images these are, a sentence; empty if there are none.
        by_name: the predictions by the name of the image.
        why: by the name of the image, why it is shown.
        scores: by the name of the image, fractions by metric; of all images that were scored.
    """

    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    ignore_index: int
    rule: str
    by_name: Mapping[str, Answer]
    why: Mapping[str, tuple[str, ...]]
    scores: Mapping[str, Mapping[str, float]]


def has_answers(run: Run) -> bool:
    """Whether a run has pictures, or scores of its images."""
    return run.folder is not None and ((run.folder / _PICTURES).is_file() or _scores_path(run, run.folder).is_file())


def load_answers(run: Run, folder: Path) -> Answers:
    """Read the pictures of a run, and the scores of all images that it was scored on.

    Args:
        run: whose they are.
        folder: of the run; what is missing in it of pictures or scores is left out.

    Raises:
        ValueError: a file is broken, or does not fit the others; it is named.
    """
    path = _scores_path(run, folder)
    scores = _scores_of_all(path) if path.is_file() else {}
    if not (folder / _PICTURES).is_file():
        return Answers(run.classes, (), 0, "", {}, {}, scores)
    pictures = load_pictures((folder / _PICTURES).parent)
    return Answers(
        pictures.classes,
        pictures.palette,
        pictures.ignore_index,
        f"{pictures.rule[:1].upper()}{pictures.rule[1:]}.",
        {sample.name: _answer(sample, pictures, run) for sample in pictures.samples},
        {sample.name: sample.why for sample in pictures.samples},
        scores,
    )


def _scores_path(run: Run, folder: Path) -> Path:
    return image_scores_path(folder, run.split)


def _scores_of_all(path: Path) -> dict[str, dict[str, float]]:
    """Those of the metrics that the other tables have."""
    return {name: {metric: of[metric] for metric in METRICS} for name, of in read_image_scores(path).items()}


def _answer(sample: Sample, pictures: Pictures, run: Run) -> Answer:
    kinds = error_kinds(sample.prediction, sample.truth, pictures.ignore_index, run.band, run.edges)
    return Answer(sample.image, sample.truth, sample.prediction, kinds)
