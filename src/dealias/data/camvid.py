# SPDX-License-Identifier: Apache-2.0
"""CamVid road scenes (Brostow, Fauqueur, Cipolla 2009), the version with 11 classes and 480x360 pixels."""

from __future__ import annotations

from pathlib import Path

from .folders import SegmentationFolders

CLASSES = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
"""Colours of the classes by name, in the order of their ids."""

VOID = 11
"""The id of what belongs to no class."""

_SPLITS = ("train", "val", "test")


class CamVid(SegmentationFolders):
    """CamVid with 11 classes; void (id 11 in the files) is ignored.

    Args:
        root: folder with ``images/{train,val,test}`` and ``labels/{train,val,test}``, one-channel label maps.
        split: ``"train"``, ``"val"`` or ``"test"``.

    Raises:
        ValueError: unknown split, or as :class:`SegmentationFolders`.
    """

    def __init__(self, root: str | Path, split: str = "train") -> None:
        if split not in _SPLITS:
            raise ValueError(f"unknown CamVid split {split!r}; known: {', '.join(_SPLITS)}")
        super().__init__(
            Path(root) / "images" / split,
            Path(root) / "labels" / split,
            classes=tuple(CLASSES),
            palette=tuple(CLASSES.values()),
            ignore_labels=(VOID,),
        )
