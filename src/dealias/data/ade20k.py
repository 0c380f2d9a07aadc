# SPDX-License-Identifier: Apache-2.0
"""ADE20K scenes as in the scene parsing challenge of 2016 (Zhou et al. 2017, arXiv 1608.05442): 150 classes."""

from __future__ import annotations

from pathlib import Path

from ._ade20k_classes import CLASSES as CLASSES  # as a name of this module, like the other data sets have it
from .folders import SegmentationFolders
from .layout import Layout, check_split, find_root

SPLITS = ("training", "validation")

CLASS_IDS = {0: 255, **{label + 1: label for label in range(len(CLASSES))}}
"""Class id of every id in the files: 0 stands for none of the classes, which start at 1."""


class ADE20K(SegmentationFolders):
    """ADE20K with 150 classes; what belongs to none (id 0 in the files) is ignored.

    Args:
        root: the folder ``ADEChallengeData2016`` with ``images/{split}`` and ``annotations/{split}``, or the one above.
        split: ``"training"`` or ``"validation"``.

    Raises:
        ValueError: unknown split, no such folders, or as :class:`SegmentationFolders`.
    """

    def __init__(self, root: str | Path, split: str = "training") -> None:
        layout = ade20k_layout(root, split)
        super().__init__(
            layout.images,
            layout.labels,
            classes=tuple(CLASSES),
            palette=tuple(CLASSES.values()),
            label_map=layout.label_map,
        )


def ade20k_layout(root: str | Path, split: str) -> Layout:
    """The files of a split.

    Raises:
        ValueError: unknown split, or the folders are not there.
    """
    check_split("ADE20K", split, SPLITS)
    folder = find_root(root, ("images", "annotations"), ("ADEChallengeData2016",))
    return Layout(folder / "images" / split, folder / "annotations" / split, label_map=CLASS_IDS)
