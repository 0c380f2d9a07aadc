# SPDX-License-Identifier: Apache-2.0
"""LIS, instance segmentation in the dark (Chen et al. 2023, arXiv:2304.14298): scenes taken in normal and low light.

The photographs of a scene have successive numbers: odd in normal light, the next even one in the dark. Annotation files
with "+1" in their name are those of the numbers raised by one, of the dark images.
"""

from __future__ import annotations

import glob
from pathlib import Path

from .coco_instances import CocoInstances
from .layout import check_split, find_root

SPLITS = ("train", "test", "traintest")
LIGHTS = {"normal": ("RGB-normal", "lis_coco_png_{}.json"), "dark": ("RGB-dark", "lis_coco_JPG_{}+1.json")}
"""Folder of the images and name of the annotations, by the light."""

_FOLDERS = ("LIS",)


class LIS(CocoInstances):
    """The camera's own RGB images of LIS, with 8 classes.

    File names of the annotations are ``./JPEGImages/NUMBER.ENDING`` below the folder of the light; where the folder has
    the number with another ending (``png`` or ``JPG``), that file is read.

    Args:
        root: folder with ``RGB-normal``, ``RGB-dark`` and ``annotations``, or the one above it.
        split: ``"train"``, ``"test"``, or both: ``"traintest"``.
        light: ``"dark"`` or ``"normal"``.
        keep_empty: keep images without objects.

    Raises:
        ValueError: unknown split or light, or as :class:`CocoInstances`.
    """

    def __init__(self, root: str | Path, split: str = "train", light: str = "dark", keep_empty: bool = True) -> None:
        check_split("LIS", split, SPLITS)
        if light not in LIGHTS:
            raise ValueError(f"unknown light {light!r}; known: {', '.join(LIGHTS)}")
        images, annotations = LIGHTS[light]
        folder = find_root(root, (images, "annotations"), _FOLDERS)
        super().__init__(folder / images, folder / "annotations" / annotations.format(split), keep_empty)

    def image_file(self, file_name: str) -> Path:
        """The file of that name, or else of that name with another ending."""
        return with_any_ending(self.images / file_name)


def with_any_ending(path: Path) -> Path:
    """The file, or if it is not there the first of that name with another ending, or else the path as it is."""
    if path.is_file():
        return path
    others = sorted(path.parent.glob(f"{glob.escape(path.stem)}.*"))
    return others[0] if others else path
