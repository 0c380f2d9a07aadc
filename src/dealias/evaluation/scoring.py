# SPDX-License-Identifier: Apache-2.0
"""Count pairs of label files: sums that add up over any number of pairs, and a small row for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dealias.data.images import read_labels
from dealias.metrics import (
    boundary_overlap,
    boundary_regions,
    inner_boundaries,
    region_histogram,
    segmentation_scores,
)
from dealias.ops.label_edges import check_edges, check_width

from .ids import id_counts, unknown_ids
from .pairs import Pair, size_text
from .problems import Problem, read_or_report
from .renumbering import Renumbering

METRICS = {
    "mIoU": "mean intersection over union of the classes",
    "aAcc": "share of right pixels",
    "mAcc": "mean accuracy of the classes",
    "BIoU": "mean intersection over union near predicted or true edges",
    "BAcc": "mean accuracy of the classes near predicted or true edges",
    "FErr": "false responses: mean error of the classes near predicted edges",
    "MErr": "merging mistakes: mean error of the classes near true edges",
    "DErr": "displacements: mean error of the classes near predicted and true edges",
    "mBoundaryIoU": "mean overlap of predicted and true boundaries of the classes (Boundary IoU)",
}
"""Scores of an image or of all, and what they are."""


@dataclass(frozen=True)
class Scoring:
    """What is counted, and how files become ids.

    Attributes:
        classes: name of each class id, from 0.
        ignore_index: id in the ground truth, after renumbering, of pixels that are not counted.
        edges: ``"exact"``, or ``"released"`` to compare with published tables, see :func:`dealias.metrics.label_edges`.
        width: width in pixels of the band around an edge, odd.
        label_map: ids in ground-truth files to new ids, all at once; other ids stay.
        reduce_zero_label: afterwards, id 0 of the ground truth becomes ignored and the others one less.
        pred_label_map: ids in prediction files to new ids.

    Raises:
        ValueError: no class, or ``edges`` or ``width`` is unknown, or an id is out of range.
    """

    classes: tuple[str, ...]
    ignore_index: int = 255
    edges: str = "exact"
    width: int = 15
    label_map: Mapping[int, int] = field(default_factory=dict)
    reduce_zero_label: bool = False
    pred_label_map: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.classes:
            raise ValueError("classes must name at least one class")
        check_edges(self.edges)
        check_width(self.width)
        _ = self.truth_numbers, self.pred_numbers

    @cached_property
    def truth_numbers(self) -> Renumbering:
        """Renumbering of the ground truth."""
        return Renumbering(self.label_map, self.reduce_zero_label, self.ignore_index)

    @cached_property
    def pred_numbers(self) -> Renumbering:
        """Renumbering of predictions."""
        return Renumbering(self.pred_label_map)


class ImageScores(NamedTuple):
    """One image: its files, its size, the number of pixels counted, and its scores in the order of ``METRICS``."""

    name: str
    prediction: str
    ground_truth: str
    height: int
    width: int
    pixels: int
    scores: tuple[float, ...]


@dataclass
class Counts:
    """What is known of some pairs; see :func:`dealias.metrics.joint_histogram` and ``boundary_areas``.

    Attributes:
        histogram: int64, [4, C, C].
        intersection: of the boundaries of each class, int64, [C].
        union: likewise.
        images: a row for each pair that was counted.
        problems: of the pairs that were not.
    """

    histogram: np.ndarray
    intersection: np.ndarray
    union: np.ndarray
    images: list[ImageScores] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def empty(cls, classes: int) -> Counts:
        """Nothing counted."""
        return cls(np.zeros((4, classes, classes), np.int64), np.zeros(classes, np.int64), np.zeros(classes, np.int64))

    def add(self, other: Counts) -> None:
        """Add the counts of other pairs."""
        self.histogram += other.histogram
        self.intersection += other.intersection
        self.union += other.union
        self.images += other.images
        self.problems += other.problems

    def scores(self) -> dict[str, Tensor]:
        """Scores of all pairs together: ``METRICS``, and ``IoU``, ``Acc`` and ``BoundaryIoU`` of each class."""
        boundary = torch.from_numpy(self.intersection).double() / torch.from_numpy(self.union)
        scores = segmentation_scores(torch.from_numpy(self.histogram))
        return {**scores, "mBoundaryIoU": boundary.nanmean(), "BoundaryIoU": boundary}


def score_pairs(scoring: Scoring, pairs: Sequence[Pair]) -> Counts:
    """Read and count pairs of a prediction and its ground truth; each that cannot be used gives problems instead."""
    total = Counts.empty(len(scoring.classes))
    for pair in pairs:
        labels = _read_pair(scoring, pair, total.problems)
        if labels is not None:
            total.add(_count(scoring, pair, *labels))
    return total


def check_pairs(scoring: Scoring, pairs: Sequence[Pair]) -> Counts:
    """Read pairs for their problems alone."""
    total = Counts.empty(len(scoring.classes))
    for pair in pairs:
        _read_pair(scoring, pair, total.problems)
    return total


def _read_pair(scoring: Scoring, pair: Pair, problems: list[Problem]) -> tuple[Tensor, Tensor] | None:
    """Prediction and ground truth, [H, W], renumbered and checked; ``None`` if there was a problem."""
    before = len(problems)
    preds = _read_ids(pair.first, scoring.pred_numbers, (), scoring, problems)
    target = _read_ids(pair.second, scoring.truth_numbers, (scoring.ignore_index,), scoring, problems)
    if preds is not None and target is not None and preds.shape != target.shape:
        reason = f"size {size_text(preds.shape)} differs from {size_text(target.shape)} of {pair.second}"
        problems.append(Problem(str(pair.first), reason))
    return None if len(problems) > before or preds is None or target is None else (preds, target)


def _read_ids(
    file: Path, numbers: Renumbering, ignored: tuple[int, ...], scoring: Scoring, problems: list[Problem]
) -> Tensor | None:
    """Renumbered ids, [H, W], some of which may be unknown; ``None`` of a file that is no label map."""
    labels = read_or_report(read_labels, file, problems)
    if labels is None:
        return None
    labels = numbers(labels)
    reason = unknown_ids(id_counts(labels), len(scoring.classes), ignored)
    if reason:
        problems.append(Problem(str(file), reason))
    return labels


def _count(scoring: Scoring, pair: Pair, preds: Tensor, target: Tensor) -> Counts:
    classes, ignore_index = len(scoring.classes), scoring.ignore_index
    bands = boundary_regions(preds, target, scoring.edges, scoring.width)
    boundaries = inner_boundaries(preds, target, classes, ignore_index)
    histogram, near = (
        region_histogram(preds, target, regions, classes, ignore_index) for regions in (bands, boundaries)
    )
    intersection, union = boundary_overlap(near)
    counts = Counts(histogram.numpy(), intersection.numpy(), union.numpy())
    scores = counts.scores()
    row = tuple(scores[name].item() for name in METRICS)
    height, width = target.shape
    pixels = int(histogram.sum())
    counts.images.append(ImageScores(pair.name, str(pair.first), str(pair.second), height, width, pixels, row))
    return counts
