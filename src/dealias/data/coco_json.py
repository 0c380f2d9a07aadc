# SPDX-License-Identifier: Apache-2.0
"""Annotation files in COCO's formats: read whole, and refused with the file and the ids that are wrong."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from dealias._documents import read_json

from .label_ids import shortened

LARGEST_IMAGE = 2**28
"""Most pixels of an image; none with more can be read."""

MASK_BYTES = 2**31
"""The most that the masks of one image take."""

Entry = Mapping[str, Any]

Report = Callable[[str, Sequence[Any]], None]
"""Told what is wrong with entries, and their ids: stops the reading, or takes note of it."""


@dataclass(frozen=True)
class CocoFile:
    """A checked annotation file.

    Attributes:
        path: the file.
        images: entries by image id, in the order of the file.
        categories: entries by category id, in the order of their ids, which is that of the classes.
        annotations: entries in the order of the file; their images and, where they have one, categories exist.
    """

    path: Path
    images: dict[int, Entry]
    categories: dict[int, Entry]
    annotations: list[Entry]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the categories, a class id being the position."""
        return tuple(str(category["name"]) for category in self.categories.values())

    @property
    def labels(self) -> dict[int, int]:
        """Category id to class id."""
        return {category: label for label, category in enumerate(self.categories)}


def read_coco_file(path: str | Path, annotation_keys: Sequence[str], category_keys: Sequence[str]) -> CocoFile:
    """Read an annotation file, and refuse it if anything is wrong with it.

    Args:
        path: JSON with the lists ``images``, ``annotations`` and ``categories``.
        annotation_keys: what every annotation must have beside ``image_id``.
        category_keys: what every category must have beside ``id`` and ``name``.

    Raises:
        ValueError: naming the file: it is no such JSON, ids come twice, file names that leave their folder, or
            annotations of unknown images or categories.
    """
    path = Path(path)
    return check_coco(path, read_coco_json(path), annotation_keys, category_keys, refusal(path))


def read_coco_json(path: Path) -> dict[str, Any]:
    """The object in an annotation file.

    Raises:
        ValueError: naming the file: it is no JSON, or no object.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected an object with images, annotations and categories")
    return content


def refusal(path: Path) -> Report:
    """What stops the reading of a file, by a ValueError that names it."""

    def refuse(what: str, ids: Sequence[Any]) -> None:
        raise ValueError(f"{path}: {what}: id {shortened(ids)}" if ids else f"{path}: {what}")

    return refuse


def check_coco(
    path: Path, content: Entry, annotation_keys: Sequence[str], category_keys: Sequence[str], report: Report
) -> CocoFile:
    """What is right in an annotation file; what is not is reported, and left out where the reading goes on.

    Args:
        path: the file.
        content: of it.
        annotation_keys: as of :func:`read_coco_file`.
        category_keys: likewise.
        report: told of everything that is wrong.

    Raises:
        ValueError: naming the file: it lacks one of the lists.
    """
    images = _by_id(path, content, "images", ("id", "file_name", "height", "width"), report)
    categories = _by_id(path, content, "categories", ("id", "name", *category_keys), report)
    annotations = _entries(path, content, "annotations", ("image_id", *annotation_keys), report)
    unknown = [entry for entry in annotations if entry["image_id"] not in images]
    _report_ids((entry["image_id"] for entry in unknown), "annotations of unknown images", report)
    foreign = [entry for entry in annotations if "category_id" in entry and entry["category_id"] not in categories]
    _report_ids((entry["category_id"] for entry in foreign), "annotations of unknown categories", report)
    if unknown or foreign:
        wrong = {id(entry) for entry in (*unknown, *foreign)}
        annotations = [entry for entry in annotations if id(entry) not in wrong]
    return CocoFile(path, images, dict(sorted(categories.items())), annotations)


def annotated_size(entry: Entry, path: Path) -> tuple[int, int]:
    """Height and width of an image in the annotation file ``path``.

    Raises:
        ValueError: naming file and image: they are no positive integers, or too large.
    """
    size = entry["height"], entry["width"]
    if not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(f"{path}: image {entry['id']}: height and width must be positive integers, found {size}")
    if size[0] * size[1] > LARGEST_IMAGE:
        raise ValueError(f"{path}: image {entry['id']}: at most {LARGEST_IMAGE} pixels can be read, found {size}")
    return size


def check_mask_bytes(masks: int, size: tuple[int, int], entry: Entry, path: Path) -> None:
    """Refuse more masks of an image than memory should hold, before the first is made.

    Raises:
        ValueError: naming file and image: they would have more than :data:`MASK_BYTES` pixels.
    """
    if masks * size[0] * size[1] > MASK_BYTES:
        found = f"{masks} masks of {size[1]}x{size[0]} pixels"
        raise ValueError(f"{path}: image {entry['id']}: {found} are more than the {MASK_BYTES} bytes that are allowed")


def annotated_area(entry: Entry, pixels: int, where: str) -> float:
    """The area of an object, or else the pixels of its mask.

    Raises:
        ValueError: naming ``where``: it is no number of pixels.
    """
    area = entry.get("area", pixels)
    if not isinstance(area, int | float) or not 0 <= area < math.inf:
        raise ValueError(f"{where}: the area must be a number of pixels, found {area!r}")
    return area


def _is_inside(name: Any) -> bool:
    """Whether a file name stays in its folder on any system: predictions are written under the names of images."""
    return isinstance(name, str) and not any(
        path.anchor or ".." in path.parts for path in (PurePosixPath(name), PureWindowsPath(name))
    )


def _entries(path: Path, content: Entry, name: str, keys: Sequence[str], report: Report) -> list[Entry]:
    entries = content.get(name)
    if not isinstance(entries, list):
        raise ValueError(f"{path}: expected a list of {name}")
    return [entry for position, entry in enumerate(entries) if _is_whole(entry, position, name, keys, report)]


def _is_whole(entry: Any, position: int, name: str, keys: Sequence[str], report: Report) -> bool:
    if not isinstance(entry, dict) or any(key not in entry for key in keys):
        found = f"id {entry['id']}" if isinstance(entry, dict) and "id" in entry else f"number {position}"
        report(f"{name}, {found}: needs {', '.join(keys)}", ())
        return False
    wrong = [key for key in ("id", "image_id", "category_id") if key in entry and type(entry[key]) is not int]
    if wrong:
        report(f"{name}, number {position}: {wrong[0]} must be an integer, found {entry[wrong[0]]!r}", ())
        return False
    if not _is_inside(entry.get("file_name", "")):
        file = entry["file_name"]
        report(f"file names must be relative and stay within their folder, found {file!r}", ())
        return False
    return True


def _by_id(path: Path, content: Entry, name: str, keys: Sequence[str], report: Report) -> dict[int, Entry]:
    entries = _entries(path, content, name, keys, report)
    repeated = (number for number, count in Counter(entry["id"] for entry in entries).items() if count > 1)
    _report_ids(repeated, f"{name} that come twice", report)
    return {entry["id"]: entry for entry in entries}


def _report_ids(ids: Iterable[Any], what: str, report: Report) -> None:
    wrong = sorted(set(ids), key=str)
    if wrong:
        report(what, wrong)
