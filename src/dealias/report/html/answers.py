# SPDX-License-Identifier: Apache-2.0
"""Predictions beside their ground truth, each with its errors and the scores of its image alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dealias.metrics import joint_histogram, segmentation_scores
from dealias.report.canvas import Colour
from dealias.report.outcome import METRICS
from dealias.report.pictures import Pictures, Sample, load_pictures

from .documents import explained
from .errors import error_kinds


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
        rule: which images these are, a sentence.
        by_name: the predictions by the name of the image.
        scores: by the name of the image, fractions by metric; of these images or of more.
    """

    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    ignore_index: int
    rule: str
    by_name: Mapping[str, Answer]
    scores: Mapping[str, Mapping[str, float]]


def load_answers(folder: Path, band: int) -> Answers:
    """Read a folder of pictures and score each image alone.

    Args:
        folder: as :func:`dealias.report.pictures.save_pictures` wrote it.
        band: width in pixels of the band around edges, odd.

    Raises:
        ValueError: pictures are missing or broken, or do not fit each other; the folder is named.
    """
    with explained(folder, "a folder of pictures"):
        pictures = load_pictures(folder)
        if len(pictures.palette) != len(pictures.classes):
            raise ValueError(f"{len(pictures.palette)} colours for {len(pictures.classes)} classes")
        return Answers(
            pictures.classes,
            pictures.palette,
            pictures.ignore_index,
            f"{pictures.rule[:1].upper()}{pictures.rule[1:]}.",
            {sample.name: _answer(sample, pictures, band) for sample in pictures.samples},
            {sample.name: _scores(sample, pictures, band) for sample in pictures.samples},
        )


def _answer(sample: Sample, pictures: Pictures, band: int) -> Answer:
    size = sample.image.shape[:2]
    if sample.image.shape != (*size, 3) or not sample.truth.shape == sample.prediction.shape == size:
        shapes = [part.shape for part in (sample.image, sample.truth, sample.prediction)]
        raise ValueError(f"image, truth and prediction of {sample.name!r} have the shapes {shapes}")
    kinds = error_kinds(sample.prediction, sample.truth, pictures.ignore_index, band)
    return Answer(sample.image, sample.truth, sample.prediction, kinds)


def _scores(sample: Sample, pictures: Pictures, band: int) -> dict[str, float]:
    prediction, truth = torch.tensor(sample.prediction)[None], torch.tensor(sample.truth)[None]
    histogram = joint_histogram(prediction, truth, len(pictures.classes), pictures.ignore_index, width=band)
    scores = segmentation_scores(histogram)
    return {metric: scores[metric].item() for metric in METRICS}
