# SPDX-License-Identifier: Apache-2.0
"""Annotation files in COCO's formats: read whole, and refused with the file and the ids that are wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .label_ids import shortened

Entry = Mapping[str, Any]


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
    """Read and check an annotation file.

    Args:
        path: JSON with the lists ``images``, ``annotations`` and ``categories``.
        annotation_keys: what every annotation must have beside ``image_id``.
        category_keys: what every category must have beside ``id`` and ``name``.

    Raises:
        ValueError: naming the file: it is no such JSON, ids come twice, or annotations of unknown images or categories.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected an object with images, annotations and categories")
    images = _by_id(path, content, "images", ("id", "file_name", "height", "width"))
    categories = _by_id(path, content, "categories", ("id", "name", *category_keys))
    annotations = _entries(path, content, "annotations", ("image_id", *annotation_keys))
    _refuse(path, (a["image_id"] for a in annotations if a["image_id"] not in images), "annotations of unknown images")
    named = [a["category_id"] for a in annotations if "category_id" in a]
    _refuse(path, (i for i in named if i not in categories), "annotations of unknown categories")
    return CocoFile(path, images, dict(sorted(categories.items())), annotations)


def _entries(path: Path, content: Entry, name: str, keys: Sequence[str]) -> list[Entry]:
    entries = content.get(name)
    if not isinstance(entries, list):
        raise ValueError(f"{path}: expected a list of {name}")
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict) or any(key not in entry for key in keys):
            found = f"id {entry['id']}" if isinstance(entry, dict) and "id" in entry else f"number {position}"
            raise ValueError(f"{path}: {name}, {found}: needs {', '.join(keys)}")
    return entries


def _by_id(path: Path, content: Entry, name: str, keys: Sequence[str]) -> dict[int, Entry]:
    entries = _entries(path, content, name, keys)
    repeated = (number for number, count in Counter(entry["id"] for entry in entries).items() if count > 1)
    _refuse(path, repeated, f"{name} that come twice")
    return {entry["id"]: entry for entry in entries}


def _refuse(path: Path, ids: Iterable[Any], what: str) -> None:
    wrong = sorted(set(ids), key=str)
    if wrong:
        raise ValueError(f"{path}: {what}: id {shortened(wrong)}")
