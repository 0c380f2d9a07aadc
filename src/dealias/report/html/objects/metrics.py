# SPDX-License-Identifier: Apache-2.0
"""The metrics of objects: which tables they make, what their columns are called, and what these mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_AP = {name: name for name in ("AP", "AP50", "AP75", "APs", "APm", "APl")}
_PQ = {
    f"{name}{part}": f"{name}{part.replace('_', ' ')}"
    for part in ("", "_things", "_stuffs")
    for name in ("PQ", "SQ", "RQ")
}
_EDGES = {name: name for name in ("mIoU", "BIoU", "BAcc", "FErr", "MErr", "DErr")}


@dataclass(frozen=True)
class Group:
    """The scores of one metric, which share a table.

    Attributes:
        key: in ``objects.json``.
        title: of the table.
        columns: by name of the score in the file, that in the table.
        by_class: name in the file of the scores of classes that bars show; empty: there are none.
        noun: what the bars show, in words.
    """

    key: str
    title: str
    columns: Mapping[str, str]
    by_class: str = ""
    noun: str = ""


def _named(prefix: str, columns: Mapping[str, str]) -> dict[str, str]:
    return {name: f"{prefix} {column}" for name, column in columns.items()}


GROUPS = (
    Group("panoptic", "Panoptic segments", _PQ, "class_PQ", "Panoptic quality"),
    Group("mask", "Masks", _named("mask", _AP), "class_AP", "Average precision of the masks"),
    Group("box", "Boxes", _named("box", _AP), "class_AP", "Average precision of the boxes"),
    Group("boundary_panoptic", "Boundaries of panoptic segments", _named("boundary", _PQ)),
    Group("boundary", "Boundaries of masks", _named("boundary", _AP)),
    Group("edges", "Pixels near edges", _EDGES),
)
"""In the order of the tables; the first that all runs have has the score that runs are judged by."""

_SENTENCES = {
    "AP": "Average precision: area under the curve of precision over recall, mean over the classes and over the "
    "overlaps (IoU) from 0.50 to 0.95 from which on an object counts as found.",
    "AP50": "The same at an overlap of 0.50 alone: finding an object is enough.",
    "AP75": "The same at 0.75: the outline has to fit as well.",
    "APs": "AP of small objects, below 32 x 32 pixels.",
    "APm": "AP of medium objects, from there up to 96 x 96 pixels.",
    "APl": "AP of large objects.",
    "PQ": "Panoptic quality: SQ times RQ in each class, mean over the classes.",
    "SQ": "Segmentation quality: mean overlap (IoU) of the segments that were found, by class.",
    "RQ": "Recognition quality: how many segments were found, at an overlap above 0.50, as F1 score of each class.",
}
_PARTS = {
    "things": "{} of the things alone, which are counted in instances.",
    "stuffs": "{} of the stuff alone, such as sky or road.",
}
_KINDS = {
    "mask": "Overlaps are those of masks.",
    "box": "Overlaps are those of boxes.",
    "boundary": "Overlaps are those of pixels near the outlines, if these are smaller.",
}


def explain_column(column: str) -> str:
    """What a column means; empty where the page says it elsewhere.

    >>> explain_column("PQ things"), explain_column("mIoU")
    ('PQ of the things alone, which are counted in instances.', '')
    """
    words = column.split(" ")
    name = next((word for word in words if word in _SENTENCES), "")
    if words[-1] in _PARTS:
        return _PARTS[words[-1]].format(name)
    kind = _KINDS.get(words[0], "") if name in ("AP", "PQ") else ""
    return " ".join(filter(None, (_SENTENCES.get(name, ""), kind)))
