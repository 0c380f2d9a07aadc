# SPDX-License-Identifier: Apache-2.0
"""Cityscapes street scenes with fine labels (Cordts et al. 2016, arXiv 1604.01685): 19 classes, 2048x1024 pixels."""

from __future__ import annotations

from pathlib import Path

from .folders import SegmentationFolders
from .layout import Layout, check_split, find_root

CLASSES = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}
"""Colours of the classes by name, in the order of their training ids."""

EVALUATED_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The id of each class in ``labelIds`` files; the other ids are ignored."""

TRAIN_IDS = {**dict.fromkeys((-1, *range(34)), 255), **{label: i for i, label in enumerate(EVALUATED_IDS)}}
"""Training id of every id in ``labelIds`` files."""

SPLITS = ("train", "val", "test")
_FOLDERS = ("cityscapes", "Cityscapes")
_IMAGE, _TRAIN_IDS, _LABEL_IDS = "_leftImg8bit", "_gtFine_labelTrainIds", "_gtFine_labelIds"


class Cityscapes(SegmentationFolders):
    """Cityscapes with 19 classes; all else is ignored.

    Labels are the ``*_gtFine_labelTrainIds.png`` files if every image has one. Otherwise they are derived from the
    ``*_gtFine_labelIds.png`` files whenever one is read; nothing is written.

    Args:
        root: folder with ``leftImg8bit/{split}/{city}`` and ``gtFine/{split}/{city}``, or the one above it.
        split: ``"train"``, ``"val"`` or ``"test"`` (whose public labels are empty).

    Raises:
        ValueError: unknown split, no such folders, or as :class:`SegmentationFolders`.
    """

    def __init__(self, root: str | Path, split: str = "train") -> None:
        layout = cityscapes_layout(root, split)
        super().__init__(
            layout.images,
            layout.labels,
            classes=tuple(CLASSES),
            palette=tuple(CLASSES.values()),
            suffixes=layout.suffixes,
            label_map=layout.label_map,
        )


def cityscapes_layout(root: str | Path, split: str) -> Layout:
    """The files of a split.

    Raises:
        ValueError: unknown split, or the folders are not there.
    """
    check_split("Cityscapes", split, SPLITS)
    folder = find_root(root, ("leftImg8bit", "gtFine"), _FOLDERS)
    images, labels = folder / "leftImg8bit" / split, folder / "gtFine" / split
    cities = {path.relative_to(images) for path in images.glob(f"*/*{_IMAGE}.png")}
    ready = all((labels / city.with_name(city.name.replace(_IMAGE, _TRAIN_IDS))).is_file() for city in cities)
    if ready:
        return Layout(images, labels, suffixes=(_IMAGE, _TRAIN_IDS))
    return Layout(images, labels, suffixes=(_IMAGE, _LABEL_IDS), label_map=TRAIN_IDS)
