# SPDX-License-Identifier: Apache-2.0
"""Read a data set of objects once: what is in it, and which files and annotations are bad."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dealias.data.coco_instances import INSTANCE_KEYS
from dealias.data.coco_json import CocoFile, Entry, check_coco, read_coco_json
from dealias.data.coco_panoptic import CATEGORY_KEYS, PANOPTIC_KEYS, annotations_by_image

from .object_contents import AnnotatedImage, AnnotationFile, ObjectContents, read_contents
from .object_folders import ObjectFolders
from .pool import run_chunks
from .problems import Problem


@dataclass
class ObjectInventory:
    """Contents of the annotation files that have the same classes.

    Attributes:
        classes: name of each class id.
        is_thing: which of them are counted in instances.
        panoptic: whether the objects are segments of panoptic maps.
        files: the annotation files.
        splits: images of each part.
        contents: of all images.
    """

    classes: tuple[str, ...]
    is_thing: tuple[bool, ...]
    panoptic: bool
    files: list[Path]
    splits: Counter[str]
    contents: ObjectContents

    @property
    def images(self) -> int:
        """Number of all images."""
        return self.splits.total()


@dataclass(frozen=True)
class _Part:
    """An annotation file that has been read."""

    file: AnnotationFile
    classes: tuple[str, ...]
    images: list[AnnotatedImage]
    problems: list[Problem]


def check_objects(
    folders: Sequence[ObjectFolders],
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[ObjectInventory]:
    """Read every annotation and every image.

    Args:
        folders: annotation files and their images.
        workers: number of processes; ``None``: one per core.
        on_progress: called with the number of images that are done and of all.

    Returns:
        One for all files of a kind with the same classes.

    Raises:
        ValueError: an annotation file cannot be read at all, or a folder of images is missing.
        ChildProcessError: a worker was killed.
    """
    parts = [_read_part(found) for found in folders]
    inventories: dict[Any, ObjectInventory] = {}
    done, images = 0, sum(len(part.images) for part in parts)

    def add(total: ObjectContents, contents: ObjectContents, length: int) -> None:
        nonlocal done
        total.add(contents)
        done += length
        if on_progress is not None:
            on_progress(done, images)

    for part in parts:
        key = part.classes, part.file.is_thing, part.file.panoptic
        inventory = inventories.setdefault(key, ObjectInventory(*key, [], Counter(), ObjectContents()))
        inventory.files.append(part.file.folders.annotations)
        inventory.splits[part.file.folders.split] += len(part.images)
        inventory.contents.problems += part.problems
        run_chunks(partial(read_contents, part.file), part.images, workers, partial(add, inventory.contents))
    return list(inventories.values())


def _read_part(folders: ObjectFolders) -> _Part:
    if not folders.images.is_dir():
        raise ValueError(f"{folders.images}: no such folder")
    path, problems = folders.annotations, list[Problem]()
    content = read_coco_json(path)

    def report(what: str, ids: Sequence[Any]) -> None:
        problems.extend(Problem(str(path), reason) for reason in ([f"{what}: id {i}" for i in ids] or [what]))

    panoptic = _is_panoptic(content)
    annotation_keys, category_keys = (PANOPTIC_KEYS, CATEGORY_KEYS) if panoptic else (INSTANCE_KEYS, ())
    file = check_coco(path, content, annotation_keys, category_keys, report)
    if not file.images:
        report("no images", ())
    images = _panoptic_images(file, report) if panoptic else _images_of_instances(file)
    is_thing = tuple(bool(category["isthing"]) if panoptic else True for category in file.categories.values())
    return _Part(AnnotationFile(folders, file.labels, is_thing, panoptic), file.classes, images, problems)


def _is_panoptic(content: dict[str, Any]) -> bool:
    annotations = content.get("annotations")
    return isinstance(annotations, list) and any("segments_info" in a for a in annotations if isinstance(a, dict))


def _images_of_instances(file: CocoFile) -> list[AnnotatedImage]:
    found: dict[int, list[Entry]] = {image_id: [] for image_id in file.images}
    for annotation in file.annotations:
        found[annotation["image_id"]].append(annotation)
    return [AnnotatedImage(entry, found[image_id]) for image_id, entry in file.images.items()]


def _panoptic_images(file: CocoFile, report: Callable[[str, Sequence[Any]], None]) -> list[AnnotatedImage]:
    annotations = annotations_by_image(file, report)
    return [
        AnnotatedImage(entry, [annotations[image_id]] if image_id in annotations else [])
        for image_id, entry in file.images.items()
    ]
