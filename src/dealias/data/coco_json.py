# SPDX-License-Identifier: Apache-2.0
"""Annotation files in COCO's formats: read whole, and refused with the file and the ids that are wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from .label_ids import shortened

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
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read as JSON: {error}") from error
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


def _is_inside(name: Any) -> bool:
    """Whether a file name stays in its folder: predictions are written under the names of images."""
    return isinstance(name, str) and not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts


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
    numbers = [
        key for key in ("id", "image_id", "category_id") if key in entry and not isinstance(entry[key], Hashable)
    ]
    if numbers:
        report(f"{name}, number {position}: {numbers[0]} is {entry[numbers[0]]}", ())
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
