# SPDX-License-Identifier: Apache-2.0
"""Objects with boxes and masks in COCO's format (Lin et al., arXiv:1405.0312)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from .coco_json import Entry, annotated_area, annotated_size, check_mask_bytes, read_coco_file
from .coco_masks import decode_segmentation
from .colours import default_palette
from .objects import ObjectSample, object_target, read_annotated_image

INSTANCE_KEYS = ("id", "category_id", "bbox")
"""What every annotation must have beside ``image_id``."""


class CocoInstances:
    """Images and an annotation file of instances; class ids are the positions of the sorted category ids.

    Masks are polygons or run lengths (crowd regions), boxes those of the file. The area is that of the file, or of the
    mask where it has none. An annotation without ``segmentation`` has its box as mask.

    Args:
        images: folder to which the file names of the annotations are relative.
        annotations: the JSON file.
        keep_empty: keep images without objects.

    Attributes:
        classes: names of the categories in the order of their ids.
        palette: generated colours.
        is_thing: true for all.
        category_ids: category id of each class.
        image_ids: of the samples, in the order of the file.

    Raises:
        ValueError: naming file and ids: the file is none of this format, has ids twice, annotations of unknown images
            or categories, or no image. On access: the image is missing or has another size, or an annotation's box or
            segmentation is invalid.
    """

    def __init__(self, images: str | Path, annotations: str | Path, keep_empty: bool = True) -> None:
        self.images = Path(images)
        self._file = read_coco_file(annotations, INSTANCE_KEYS, ())
        self.classes, self.category_ids = self._file.classes, tuple(self._file.categories)
        self.palette = default_palette(len(self.classes))
        self.is_thing = (True,) * len(self.classes)
        self._objects: dict[int, list[Entry]] = {image_id: [] for image_id in self._file.images}
        for annotation in self._file.annotations:
            self._objects[annotation["image_id"]].append(annotation)
        self.image_ids = [image_id for image_id, objects in self._objects.items() if objects or keep_empty]
        if not self.image_ids:
            raise ValueError(f"{self._file.path}: no images{'' if keep_empty else ' with objects'}")

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, index: int) -> ObjectSample:
        image_id = self.image_ids[index]
        entry, objects, labels = self._file.images[image_id], self._objects[image_id], self._file.labels
        size = annotated_size(entry, self._file.path)
        image = read_annotated_image(self.image_file(str(entry["file_name"])), size, self._file.path)
        check_mask_bytes(len(objects), size, entry, self._file.path)
        boxes = [annotated_box(annotation, self._file.path) for annotation in objects]
        masks = [annotated_mask(annotation, size, self._file.path) for annotation in objects]
        area = [
            annotated_area(annotation, int(mask.sum()), f"{self._file.path}: annotation {annotation['id']}")
            for annotation, mask in zip(objects, masks, strict=True)
        ]
        target = object_target(
            torch.stack(masks) if masks else torch.zeros(0, *size, dtype=torch.uint8),
            [labels[annotation["category_id"]] for annotation in objects],
            boxes,
            area,
            [int(bool(annotation.get("iscrowd", 0))) for annotation in objects],
            image_id,
        )
        name = PurePosixPath(str(entry["file_name"])).with_suffix("").as_posix()
        return {"image": image, "target": target, "name": name}

    def image_file(self, file_name: str) -> Path:
        """Where the image is that the annotations call ``file_name``."""
        return self.images / file_name


def annotated_box(annotation: Entry, path: Path) -> list[float]:
    """Left, top, right and bottom of an annotation in the file ``path``.

    Raises:
        ValueError: naming both: it has no box of numbers, or one of a negative size.
    """
    box = annotation["bbox"]
    numbers = isinstance(box, Sequence) and all(isinstance(side, int | float) for side in box)
    if not numbers or len(box) != 4 or not all(abs(side) < math.inf for side in box) or min(box[2:]) < 0:
        expected = "expected [left, top, width, height]"
        raise ValueError(f"{path}: annotation {annotation['id']}: {expected} as bbox, found {box}")
    left, top, width, height = box
    return [left, top, left + width, top + height]


def annotated_mask(annotation: Entry, size: tuple[int, int], path: Path) -> Tensor:
    """The mask of an annotation in the file ``path``, uint8 of the size (height, width) of its image.

    Raises:
        ValueError: naming both: its segmentation, or the box in place of one, is invalid.
    """
    try:
        return decode_segmentation(annotation.get("segmentation", [_corners(annotated_box(annotation, path))]), size)
    except Exception as error:  # numpy and pycocotools raise many kinds on what is none of the notations
        where = f"{path}: annotation {annotation['id']} of image {annotation['image_id']}"
        raise ValueError(f"{where}: invalid segmentation: {error}") from error


def _corners(box: Sequence[float]) -> list[float]:
    left, top, right, bottom = box
    return [left, top, right, top, right, bottom, left, bottom]
