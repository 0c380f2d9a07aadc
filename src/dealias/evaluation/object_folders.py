# SPDX-License-Identifier: Apache-2.0
"""Where the images and annotations of a data set of objects are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dealias.data.layout import find_root

_KINDS = ("instances", "panoptic")
_LIS_SPLITS = ("train", "test")


@dataclass(frozen=True)
class ObjectFolders:
    """An annotation file in one of COCO's formats, and its images.

    Attributes:
        images: folder to which the file names of the images are relative.
        annotations: the JSON file.
        segments: folder of the PNG files of panoptic annotations; ``None``: the path of ``annotations`` without its
            ending.
        split: what the images are called in counts.
        any_ending: images may have another ending than in their file names, see :class:`dealias.data.LIS`.
    """

    images: Path
    annotations: Path
    segments: Path | None = None
    split: str = ""
    any_ending: bool = False


def find_coco(root: Path) -> list[ObjectFolders]:
    """Files of ``ROOT/annotations`` called ``instances_SPLIT.json`` or ``panoptic_SPLIT.json`` whose images are there.

    These are in ``ROOT/SPLIT`` or ``ROOT/images/SPLIT``.

    Raises:
        ValueError: there is none.
    """
    found = []
    for kind in _KINDS:
        for file in sorted((root / "annotations").glob(f"{kind}_*.json")):
            split = file.stem.removeprefix(f"{kind}_")
            folders = [folder for folder in (root / split, root / "images" / split) if folder.is_dir()]
            found += [ObjectFolders(folder, file, split=f"{kind} {split}") for folder in folders[:1]]
    if not found:
        names = " or ".join(f"annotations/{kind}_SPLIT.json" for kind in _KINDS)
        raise ValueError(f"{root}: no {names} with images in SPLIT or images/SPLIT in it")
    return found


def find_lis(root: Path) -> list[ObjectFolders]:
    """Both splits of LIS in both lights, as far as they are there.

    Raises:
        ValueError: there is none.
    """
    from dealias.data.lis import LIGHTS

    found = []
    for light, (images, name) in LIGHTS.items():
        with suppress(ValueError):
            folder = find_root(root, (images, "annotations"), ("LIS",))
            files = [(split, folder / "annotations" / name.format(split)) for split in _LIS_SPLITS]
            found += [
                ObjectFolders(folder / images, file, split=f"{light} {split}", any_ending=True)
                for split, file in files
                if file.is_file()
            ]
    if not found:
        names = " or ".join(images for images, _ in LIGHTS.values())
        raise ValueError(f"{root}: no {names} with their files in annotations")
    return found


OBJECT_SETS: dict[str, Callable[[Path], list[ObjectFolders]]] = {"lis": find_lis, "coco": find_coco}
"""How to find the parts of every known data set of objects, by name."""


def recognise_objects(root: Path) -> list[ObjectFolders]:
    """The parts of the known data set of objects that is below a root; none if it is not one."""
    for find in OBJECT_SETS.values():
        with suppress(ValueError):
            return find(root)
    return []
