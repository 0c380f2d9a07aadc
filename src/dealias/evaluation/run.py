# SPDX-License-Identifier: Apache-2.0
"""Score a folder of predictions against a folder of ground truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dealias.data.images import LABEL_SUFFIXES

from .pairs import FileSet, Pair, pair_files
from .pool import run_chunks
from .problems import BadFilesError, Problem
from .result import Evaluation
from .scoring import Counts, Scoring, check_pairs, score_pairs

Progress = Callable[[int, int], None]
"""Called with the number of pairs that are done and of all."""


@dataclass(frozen=True)
class LabelFolders:
    """Where predictions and ground truth are.

    Files are paired by their paths relative to their folder, without ending and suffix.

    Attributes:
        predictions: folder of PNG or TIFF label maps, with any sub-folders.
        ground_truth: folder of the same kind.
        pred_suffix: what names of predictions have before the ending; others are passed over.
        gt_suffix: likewise for ground truth, such as ``_gtFine_labelTrainIds``.
    """

    predictions: Path
    ground_truth: Path
    pred_suffix: str = ""
    gt_suffix: str = ""

    def pairs(self) -> tuple[list[Pair], list[Problem]]:
        """Pairs of prediction and ground truth, and what has no counterpart.

        Raises:
            ValueError: a folder is missing, empty or given twice, or nothing pairs.
        """
        predictions = FileSet.of(self.predictions, "prediction", LABEL_SUFFIXES, self.pred_suffix)
        ground_truth = FileSet.of(self.ground_truth, "ground truth", LABEL_SUFFIXES, self.gt_suffix)
        if self.predictions.samefile(self.ground_truth) and self.pred_suffix == self.gt_suffix:
            raise ValueError(f"{self.predictions} is given as predictions and as ground truth")
        return pair_files(predictions, ground_truth)


def evaluate_folders(
    folders: LabelFolders,
    scoring: Scoring,
    workers: int | None = None,
    skip_bad: bool = False,
    on_progress: Progress | None = None,
) -> Evaluation:
    """Score all pairs of label files.

    The scores do not depend on the number of workers, and memory depends on the number of images only by a small row
    for each.

    Args:
        folders: what to score.
        scoring: how.
        workers: number of processes; ``None``: one per core.
        skip_bad: score the other pairs where some cannot be used; the problems are in the result.
        on_progress: told after every few pairs.

    Raises:
        BadFilesError: with all problems of all files, unless ``skip_bad`` and some pair is left.
        ValueError: a folder is missing or empty, or nothing pairs.
        ChildProcessError: a worker was killed.
    """
    pairs, problems = folders.pairs()
    total = Counts.empty(len(scoring.classes))
    done = 0

    def add(counts: Counts, length: int) -> None:
        nonlocal done
        total.add(counts)
        done += length
        if on_progress is not None:
            on_progress(done, len(pairs))

    def add_until_problem(counts: Counts, length: int) -> bool:
        add(counts, length)
        return bool(total.problems)

    if skip_bad:
        run_chunks(partial(score_pairs, scoring), pairs, workers, add)
    else:
        if not problems:
            run_chunks(partial(score_pairs, scoring), pairs, workers, add_until_problem)
        # Nothing is left for this unless something is bad: then there will be no scores, but a list of all that is.
        run_chunks(partial(check_pairs, scoring), pairs[done:], workers, add)
    problems += total.problems
    if problems and not (skip_bad and total.images):
        raise BadFilesError(problems)
    return Evaluation(folders, scoring, total, problems)
