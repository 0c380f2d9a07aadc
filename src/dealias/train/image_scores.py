# SPDX-License-Identifier: Apache-2.0
"""Scores of every single image, collected in the same pass that scores the whole set, and brought together."""

from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from dealias.metrics import SegmentationMetrics
from dealias.report.image_scores import IMAGE_METRICS

Rows = list[tuple[str, list[float]]]
"""Name of each image, and its scores in the order of ``IMAGE_METRICS``; nan: undefined."""

Row = TypeVar("Row")
"""What is kept of an image."""


class ImageScorer:
    """Counts images one by one, so that the metrics of a set know the scores of each as well.

    The counts of the set are the same integers as when batches are counted whole. The scores take half a millisecond
    per image, on top of the one pass over its pixels that the set needs anyway.

    Args:
        metrics: of the set.
    """

    def __init__(self, metrics: SegmentationMetrics) -> None:
        self.metrics = metrics
        self._names: list[str] = []
        self._scores: list[Tensor] = []

    def update(self, names: Sequence[str], preds: Tensor, target: Tensor) -> None:
        """Count a batch.

        Args:
            names: of the images, B.
            preds: class ids, [B, H, W].
            target: class ids or ignored, [B, H, W].

        Raises:
            ValueError: as :func:`dealias.metrics.joint_histogram`, or another number of names.
        """
        for name, *labels in zip(names, preds, target, strict=True):
            # Calling the metrics counts an image and gives its scores alone.
            scores = self.metrics(*(each[None] for each in labels))
            self._names.append(name)
            self._scores.append(torch.stack([scores[metric] for metric in IMAGE_METRICS]))

    def collect(self) -> Rows:
        """The rows of all processes, see :func:`rows_of_all_processes`; begins anew afterwards."""
        scores = torch.stack(self._scores).tolist() if self._scores else []
        rows = list(zip(self._names, scores, strict=True))
        self._names, self._scores = [], []
        return rows_of_all_processes(rows)


def rows_of_all_processes(rows: list[Row]) -> list[Row]:
    """The rows of all processes in the order of the data set, in every process.

    Process r of n is taken to have had the images r, r + n, ..., as :class:`dealias.data.EpochSampler` deals them.
    """
    return _interleave(_of_all_processes(rows))


def _of_all_processes(rows: list[Row]) -> list[list[Row]]:
    if not (distributed.is_available() and distributed.is_initialized()):
        return [rows]
    gathered: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(gathered, rows)
    return gathered


def _interleave(parts: list[list[Row]]) -> list[Row]:
    """One of each part in turn, the shorter parts ending earlier."""
    return [row for row in chain.from_iterable(zip_longest(*parts)) if row is not None]
