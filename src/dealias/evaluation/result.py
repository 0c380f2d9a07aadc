# SPDX-License-Identifier: Apache-2.0
"""What came out of an evaluation, and how it lies in ``evaluation.json``.

The file is one object, from which tables and pages are made without the label files. Scores are fractions; ``null``
stands for a score that is not defined, as that of an absent class::

    format        "dealias evaluation"
    version       1: of this layout
    dealias       version of the package
    settings      predictions, ground_truth (folders as given), pred_suffix, gt_suffix, ignore_index, edges, width,
                  label_map and pred_label_map (lists of [old id, new id]), reduce_zero_label
    images        number of pairs that were scored
    pixels        number of pixels that were counted, so without ignored ones
    metrics       by name: meaning (a sentence), higher_is_better
    scores        by metric: of all images together
    classes       names; the position is the id
    per_class     lists in the order of classes: IoU, Acc, BoundaryIoU, pixels (of the ground truth), predicted (pixels)
    confusion     pixels, [ground-truth class][predicted class]
    per_image     list in the order of names: name, prediction, ground_truth (files), height, width, pixels, and scores
                  by metric, whose means are over the classes in that image
    worst         by metric: up to ten of {name, score}, the worst first, equal ones by name
    problems      list of {file, reason}: what was left out; empty unless bad files were to be skipped
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from torch import Tensor

from dealias import __version__
from dealias.report.comparison import LOWER_IS_BETTER

from .problems import Problem
from .scoring import METRICS, Counts, Scoring

if TYPE_CHECKING:
    from .run import LabelFolders

LISTED_WORST = 10


@dataclass(frozen=True)
class Evaluation:
    """Scores of the pairs in two folders.

    Attributes:
        folders: the folders.
        scoring: how pixels were counted.
        counts: the sums, and a row for each image.
        problems: what was left out.
    """

    folders: LabelFolders
    scoring: Scoring
    counts: Counts
    problems: list[Problem]

    @cached_property
    def all_scores(self) -> dict[str, Tensor]:
        """See :meth:`dealias.evaluation.scoring.Counts.scores`."""
        return self.counts.scores()

    @property
    def scores(self) -> dict[str, float]:
        """Each of ``METRICS``, of all images together."""
        return {metric: self.all_scores[metric].item() for metric in METRICS}

    @property
    def class_scores(self) -> dict[str, list[float]]:
        """``IoU``, ``Acc`` and ``BoundaryIoU`` of each class."""
        return {name: self.all_scores[name].tolist() for name in ("IoU", "Acc", "BoundaryIoU")}

    def worst(self, metric: str, count: int = LISTED_WORST) -> list[tuple[str, float]]:
        """Names and scores of the images that are worst by a metric; of equal ones the first by name."""
        sign, position = -1 if metric in LOWER_IS_BETTER else 1, list(METRICS).index(metric)
        scored = [(sign * image.scores[position], image.name) for image in self.counts.images]
        defined = sorted(entry for entry in scored if not math.isnan(entry[0]))
        return [(name, sign * score) for score, name in defined[:count]]

    def to_dict(self) -> dict[str, Any]:
        """The object in ``evaluation.json``."""
        confusion = self.counts.histogram.sum(axis=0)
        per_class = {
            **self.class_scores,
            "pixels": confusion.sum(axis=1).tolist(),
            "predicted": confusion.sum(axis=0).tolist(),
        }
        images = self.counts.images
        return {
            "format": "dealias evaluation",
            "version": 1,
            "dealias": __version__,
            "settings": self._settings(),
            "images": len(images),
            "pixels": sum(image.pixels for image in images),
            "metrics": {
                name: {"meaning": meaning, "higher_is_better": name not in LOWER_IS_BETTER}
                for name, meaning in METRICS.items()
            },
            "scores": self.scores,
            "classes": self.scoring.classes,
            "per_class": per_class,
            "confusion": confusion.tolist(),
            "per_image": [
                {**image._asdict(), "scores": dict(zip(METRICS, image.scores, strict=True))} for image in images
            ],
            "worst": {
                metric: [{"name": name, "score": score} for name, score in self.worst(metric)] for metric in METRICS
            },
            "problems": [problem._asdict() for problem in self.problems],
        }

    def _settings(self) -> dict[str, Any]:
        folders, scoring = self.folders, self.scoring
        return {
            "predictions": str(folders.predictions),
            "ground_truth": str(folders.ground_truth),
            "pred_suffix": folders.pred_suffix,
            "gt_suffix": folders.gt_suffix,
            "ignore_index": scoring.ignore_index,
            "edges": scoring.edges,
            "width": scoring.width,
            "label_map": [list(pair) for pair in scoring.label_map.items()],
            "pred_label_map": [list(pair) for pair in scoring.pred_label_map.items()],
            "reduce_zero_label": scoring.reduce_zero_label,
        }
