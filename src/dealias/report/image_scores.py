# SPDX-License-Identifier: Apache-2.0
"""Scores of every single image of a validation or test set, one small table per run: ``images_val.csv``.

A line per image in the order of the data set: its name, then a column per metric. Scores are fractions with six
digits, empty where undefined; each image is scored alone, as the mean over the classes in it.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from dealias._files import replacing

IMAGE_METRICS = ("mIoU", "aAcc", "mAcc", "BIoU", "BAcc", "FErr", "MErr", "DErr")
"""The columns; see :func:`dealias.metrics.segmentation_scores`."""

ImageScores = Mapping[str, Mapping[str, float]]
"""Scores by image, then by metric."""

_ANY_NAME = "surrogateescape"
"""How text is read and written in which names of files may hold bytes that are no text."""


def image_scores_path(run: str | Path, split: str) -> Path:
    """Where a run keeps the scores of the images of ``split`` (``"val"`` or ``"test"``)."""
    return Path(run) / f"images_{split}.csv"


def write_image_scores(path: Path, rows: Sequence[tuple[str, Sequence[float]]]) -> None:
    """Write the table.

    Args:
        path: the file, replaced as a whole.
        rows: name of each image, and its scores in the order of ``IMAGE_METRICS``; nan: undefined.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", errors=_ANY_NAME, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", *IMAGE_METRICS))
        for name, scores in rows:
            writer.writerow([name, *("" if math.isnan(score) else f"{score:.6f}" for score in scores)])


def read_image_scores(path: Path) -> dict[str, dict[str, float]]:
    """Read what :func:`write_image_scores` wrote; of columns with other names nothing is known.

    Raises:
        ValueError: the file is missing, or a line of it is not as expected; both are named.
    """
    try:
        with path.open(encoding="utf-8", errors=_ANY_NAME, newline="") as file:
            lines = list(csv.reader(file))
    except (OSError, csv.Error) as error:
        raise ValueError(f"{path}: cannot be read as a table of scores: {error}") from error
    header = ["name", *IMAGE_METRICS]
    if not lines or lines[0] != header:
        raise ValueError(
            f"{path}: expected the columns {', '.join(header)}, found {', '.join(lines[0] if lines else [])}"
        )
    return {line[0]: _scores(path, number, line[1:]) for number, line in enumerate(lines[1:], start=2)}


def _scores(path: Path, number: int, cells: Sequence[str]) -> dict[str, float]:
    try:
        values = [float(cell) if cell else math.nan for cell in cells]
        return dict(zip(IMAGE_METRICS, values, strict=True))
    except ValueError:
        expected = f"{len(IMAGE_METRICS)} numbers"
        raise ValueError(f"{path}, line {number}: expected a name and {expected}, found {', '.join(cells)}") from None
