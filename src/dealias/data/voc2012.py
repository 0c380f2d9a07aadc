# SPDX-License-Identifier: Apache-2.0
"""PASCAL VOC 2012 segmentation (Everingham et al. 2015), and its training set with the labels of SBD (Hariharan 2011).

The larger training set, "trainaug", is found in either of the usual forms: a list of all its names with all label maps
in ``SegmentationClassAug``, or a list of those that are not in ``train.txt`` with only their label maps there.
"""

from __future__ import annotations

from pathlib import Path

from .folders import SegmentationFolders
from .layout import Layout, check_split, find_root

CLASSES = {
    "background": (0, 0, 0),
    "aeroplane": (128, 0, 0),
    "bicycle": (0, 128, 0),
    "bird": (128, 128, 0),
    "boat": (0, 0, 128),
    "bottle": (128, 0, 128),
    "bus": (0, 128, 128),
    "car": (128, 128, 128),
    "cat": (64, 0, 0),
    "chair": (192, 0, 0),
    "cow": (64, 128, 0),
    "dining table": (192, 128, 0),
    "dog": (64, 0, 128),
    "horse": (192, 0, 128),
    "motorbike": (64, 128, 128),
    "person": (192, 128, 128),
    "potted plant": (0, 64, 0),
    "sheep": (128, 64, 0),
    "sofa": (0, 192, 0),
    "train": (128, 192, 0),
    "tv monitor": (0, 64, 128),
}
"""Colours of the classes by name, in the order of their ids; pixels on the outlines of objects have id 255."""

SPLITS = ("train", "val", "trainval", "train_aug")

_FOLDERS = ("VOC2012", "VOCdevkit/VOC2012")
_IMAGES, _LABELS, _AUGMENTED = "JPEGImages", "SegmentationClass", "SegmentationClassAug"
_LISTS = "ImageSets/Segmentation"
_WHOLE_LISTS = ("trainaug.txt", "train_aug.txt")


class VOC2012(SegmentationFolders):
    """VOC 2012 with 21 classes, background included; the outlines of objects (255 in the files) are ignored.

    Args:
        root: the folder ``VOC2012`` with ``JPEGImages``, ``SegmentationClass`` and ``ImageSets/Segmentation``, or
            ``VOCdevkit`` or the one above it.
        split: ``"train"``, ``"val"``, ``"trainval"``, or ``"train_aug"``, which needs ``SegmentationClassAug`` and one
            of the lists ``trainaug.txt`` and ``train_aug.txt`` (all names) or ``aug.txt`` (those not in ``train.txt``).

    Raises:
        ValueError: unknown split, no such folders or lists, or as :class:`SegmentationFolders`.
    """

    def __init__(self, root: str | Path, split: str = "train") -> None:
        first, *added = voc2012_layouts(root, split)
        classes, palette = tuple(CLASSES), tuple(CLASSES.values())
        super().__init__(first.images, first.labels, classes, palette, list_file=first.list_file)
        samples = dict(zip(self.names, self.files, strict=True))
        for layout in added:
            part = SegmentationFolders(layout.images, layout.labels, classes, list_file=layout.list_file)
            samples |= {name: files for name, files in zip(part.names, part.files, strict=True) if name not in samples}
        self.names, self.files = list(samples), list(samples.values())


def voc2012_layouts(root: str | Path, split: str) -> list[Layout]:
    """The files of a split, which may be in several places; of a name that comes twice the first counts.

    Raises:
        ValueError: unknown split, or the folders or lists are not there.
    """
    check_split("VOC 2012", split, SPLITS)
    augmented = split == "train_aug"
    folder = find_root(root, (_IMAGES, _AUGMENTED if augmented else _LABELS, _LISTS), _FOLDERS)
    images, lists = folder / _IMAGES, folder / _LISTS
    if not augmented:
        return [Layout(images, folder / _LABELS, lists / f"{split}.txt")]
    # Where there is a list of the added names, the folder may have their label maps only.
    if (lists / "aug.txt").is_file():
        return [
            Layout(images, folder / _LABELS, lists / "train.txt"),
            Layout(images, folder / _AUGMENTED, lists / "aug.txt"),
        ]
    for name in _WHOLE_LISTS:
        if (lists / name).is_file():
            return [Layout(images, folder / _AUGMENTED, lists / name)]
    raise ValueError(f"{lists}: no {', '.join(_WHOLE_LISTS)} or aug.txt, one of which lists the split train_aug")
