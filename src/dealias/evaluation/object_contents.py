# SPDX-License-Identifier: Apache-2.0
"""Read annotated images: how many objects of which sizes, and what cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from dealias.data.coco_instances import annotated_box, annotated_mask
from dealias.data.coco_json import Entry, annotated_area, annotated_size
from dealias.data.coco_panoptic import read_annotated_segments
from dealias.data.lis import with_any_ending
from dealias.data.objects import read_annotated_image

from .object_folders import ObjectFolders
from .pairs import size_text
from .problems import Problem, read_or_report

SMALL, LARGE = 32**2, 96**2
"""Areas in pixels from which on objects are no longer small, and are large, as in COCO's scores."""


class AnnotatedImage(NamedTuple):
    """An image's entry and its annotations: one for each object, or one for all panoptic segments."""

    entry: Entry
    annotations: Sequence[Entry]


@dataclass(frozen=True)
class AnnotationFile:
    """What is needed to read the images of an annotation file; ``labels`` are classes by category id."""

    folders: ObjectFolders
    labels: Mapping[int, int]
    is_thing: tuple[bool, ...]
    panoptic: bool


@dataclass
class ObjectContents:
    """What images and annotations hold, as counts that add up.

    Attributes:
        sizes: images of each size, as ``480x360`` (width x height).
        objects: of each class id, crowd regions left out; of stuff, segments.
        files: images in which each class id occurs.
        areas: things by size, ``small``, ``medium`` and ``large``; crowd regions left out.
        oddities: ``crowd regions``, ``images without objects``, ``boxes without area``, ``boxes beyond the image`` and
            ``masks without pixels``, none of which is an error.
        problems: files and annotations that cannot be used.
    """

    sizes: Counter[str] = field(default_factory=Counter)
    objects: Counter[int] = field(default_factory=Counter)
    files: Counter[int] = field(default_factory=Counter)
    areas: Counter[str] = field(default_factory=Counter)
    oddities: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    def add(self, other: ObjectContents) -> None:
        """Add the contents of images that come later."""
        self.sizes.update(other.sizes)
        self.objects.update(other.objects)
        self.files.update(other.files)
        self.areas.update(other.areas)
        self.oddities.update(other.oddities)
        self.problems += other.problems

    def count(self, label: int, area: float, thing: bool, crowd: bool) -> None:
        """Count an object."""
        if crowd:
            self.oddities["crowd regions"] += 1
            return
        self.objects[label] += 1
        if thing:
            self.areas["small" if area < SMALL else "medium" if area < LARGE else "large"] += 1


def read_contents(file: AnnotationFile, images: Sequence[AnnotatedImage]) -> ObjectContents:
    """Read images and their annotations."""
    total = ObjectContents()
    annotations = file.folders.annotations
    for image in images:
        size = read_or_report(partial(annotated_size, image.entry), annotations, total.problems)
        if size is None:
            continue
        path = file.folders.images / str(image.entry["file_name"])
        path = with_any_ending(path) if file.folders.any_ending else path
        pixels = read_or_report(partial(_read_image, size, annotations), path, total.problems)
        if pixels is not None:
            total.sizes[size_text(pixels.shape)] += 1
        read = _count_segments if file.panoptic else _count_instances
        labels = read(image.annotations, size, file, total)
        total.files.update(labels)
        total.oddities["images without objects"] += not image.annotations or (file.panoptic and not labels)
    return total


def _read_image(size: tuple[int, int], annotations: Path, path: Path) -> Tensor:
    return read_annotated_image(path, size, annotations)


def _count_instances(
    annotations: Sequence[Entry], size: tuple[int, int], file: AnnotationFile, total: ObjectContents
) -> set[int]:
    """Count the objects of an image; the classes of those that can be used."""
    labels = set()
    for annotation in annotations:
        read = partial(_read_instance, annotation, size)
        found = read_or_report(read, file.folders.annotations, total.problems)
        if found is not None:
            (left, top, right, bottom), pixels, area = found
            total.oddities["boxes without area"] += right <= left or bottom <= top
            total.oddities["boxes beyond the image"] += (
                min(left, top) < -1 or right > size[1] + 1 or bottom > size[0] + 1
            )
            total.oddities["masks without pixels"] += pixels == 0
            labels.add(file.labels[annotation["category_id"]])
            total.count(file.labels[annotation["category_id"]], area, True, bool(annotation.get("iscrowd", 0)))
    return labels


def _read_instance(annotation: Entry, size: tuple[int, int], path: Path) -> tuple[list[float], int, float]:
    """Box, pixels of the mask, and area."""
    box = annotated_box(annotation, path)
    pixels = int(annotated_mask(annotation, size, path).sum())
    return box, pixels, annotated_area(annotation, pixels, f"{path}: annotation {annotation['id']}")


def _count_segments(
    annotations: Sequence[Entry], size: tuple[int, int], file: AnnotationFile, total: ObjectContents
) -> set[int]:
    """Count the segments of an image; their classes, none if they cannot be used."""
    labels = set()
    for annotation in annotations:
        folder = file.folders.segments or file.folders.annotations.with_suffix("")
        read: Callable[[Path], list[float]] = partial(_read_segments, annotation, size, file, folder)
        areas = read_or_report(read, folder / str(annotation["file_name"]), total.problems)
        for info, area in zip(annotation["segments_info"], areas or (), strict=areas is not None):
            label = file.labels[info["category_id"]]
            labels.add(label)
            total.count(label, area, file.is_thing[label], bool(info.get("iscrowd", 0)))
    return labels


def _read_segments(
    annotation: Entry, size: tuple[int, int], file: AnnotationFile, folder: Path, path: Path
) -> list[float]:
    """Areas of the segments of the PNG ``path`` in ``folder``."""
    ids = read_annotated_segments(folder, annotation, size, file.folders.annotations)
    numbers, counts = ids.unique(return_counts=True)
    pixels = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    return [
        annotated_area(info, pixels[info["id"]], f"{path}: segment {info['id']}")
        for info in annotation["segments_info"]
    ]
