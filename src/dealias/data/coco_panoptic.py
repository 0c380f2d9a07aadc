# SPDX-License-Identifier: Apache-2.0
"""Panoptic segments in COCO's format (Kirillov et al., arXiv:1801.00868): a JSON file and a PNG of ids per image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from .coco_json import (
    CocoFile,
    Entry,
    Report,
    annotated_area,
    annotated_size,
    check_mask_bytes,
    read_coco_file,
    refusal,
)
from .colours import check_palette, default_palette
from .images import read_image
from .label_ids import shortened
from .objects import ObjectSample, boxes_of_masks, object_target, read_annotated_image
from .sample import Palette

PANOPTIC_KEYS, CATEGORY_KEYS = ("file_name", "segments_info"), ("isthing",)
"""What every annotation must have beside ``image_id``, and every category beside ``id`` and ``name``."""

_VOID = 0


class CocoPanoptic:
    """Images, an annotation file of panoptic segments and their id maps; segments of things and stuff are objects.

    Class ids are the positions of the sorted category ids. A segment's id is red + 256 green + 65536 blue; pixels of id
    0 belong to no segment. Boxes are those of the masks.

    Args:
        images: folder to which the file names of the images are relative.
        annotations: the JSON file.
        segments: folder of the PNG files; ``None``: the path of ``annotations`` without its ending, as published.

    Attributes:
        classes: names of the categories in the order of their ids.
        palette: the colours of the file, or generated ones where it has none.
        is_thing: which classes are counted in instances.
        category_ids: category id of each class.
        image_ids: of the samples, in the order of the annotations.

    Raises:
        ValueError: naming file and ids: the file is none of this format, has ids twice, images without annotation or
            the reverse, unknown categories, or no image. On access: a file is missing, sizes differ, or the ids of the
            PNG are not those of the annotation.
    """

    def __init__(self, images: str | Path, annotations: str | Path, segments: str | Path | None = None) -> None:
        self.images = Path(images)
        self._file = read_coco_file(annotations, PANOPTIC_KEYS, CATEGORY_KEYS)
        self.segments = self._file.path.with_suffix("") if segments is None else Path(segments)
        self.classes, self.category_ids = self._file.classes, tuple(self._file.categories)
        categories = list(self._file.categories.values())
        self.is_thing = tuple(bool(category["isthing"]) for category in categories)
        self.palette = _palette(categories, self.classes, self._file.path)
        self._annotations = annotations_by_image(self._file, refusal(self._file.path))
        self.image_ids = list(self._annotations)
        if not self.image_ids:
            raise ValueError(f"{self._file.path}: no images")

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, index: int) -> ObjectSample:
        image_id = self.image_ids[index]
        entry, annotation = self._file.images[image_id], self._annotations[image_id]
        size = annotated_size(entry, self._file.path)
        image = read_annotated_image(self.images / str(entry["file_name"]), size, self._file.path)
        infos = annotation["segments_info"]
        check_mask_bytes(len(infos), size, entry, self._file.path)
        masks = self._masks(annotation, size)
        target = object_target(
            masks,
            [self._file.labels[info["category_id"]] for info in infos],
            boxes_of_masks(masks),
            [
                annotated_area(info, int(mask.sum()), f"{self._file.path}: image {image_id}, segment {info['id']}")
                for info, mask in zip(infos, masks, strict=True)
            ],
            [int(bool(info.get("iscrowd", 0))) for info in infos],
            image_id,
        )
        name = PurePosixPath(str(entry["file_name"])).with_suffix("").as_posix()
        return {"image": image, "target": target, "name": name}

    def _masks(self, annotation: Entry, size: tuple[int, int]) -> Tensor:
        ids = read_annotated_segments(self.segments, annotation, size, self._file.path)
        listed = [info["id"] for info in annotation["segments_info"]]
        return (ids == torch.tensor(listed, dtype=torch.int32)[:, None, None]).to(torch.uint8)


def annotations_by_image(file: CocoFile, report: Report) -> dict[int, Entry]:
    """The annotation of each image; what is wrong is reported, and left out where the reading goes on.

    Args:
        file: the annotations.
        report: told of images with several annotations or none, and of segments that cannot be.
    """
    found = {annotation["image_id"]: annotation for annotation in file.annotations}
    if len(found) < len(file.annotations):
        report(f"{len(file.annotations)} annotations of {len(found)} images", ())
    without = [image_id for image_id in file.images if image_id not in found]
    if without:
        report("images without annotation", without)
    return {image_id: annotation for image_id, annotation in found.items() if _is_possible(annotation, file, report)}


def _is_possible(annotation: Entry, file: CocoFile, report: Report) -> bool:
    infos, where = annotation["segments_info"], f"image {annotation['image_id']}"
    if not isinstance(infos, list) or not all(isinstance(info, dict) for info in infos):
        report(f"{where}: segments_info must be a list of objects", ())
        return False
    for info in infos:
        numbers = type(info.get("id")) is int and type(info.get("category_id")) is int
        if not numbers or info["category_id"] not in file.categories or info["id"] <= _VOID:
            report(f"{where}: segment of an unknown category or id: {dict(info)}", ())
            return False
    if len({info["id"] for info in infos}) < len(infos):
        report(f"{where}: segments that come twice", ())
        return False
    return True


def _palette(categories: Sequence[Entry], classes: Sequence[str], path: Path) -> Palette:
    """The colours of the categories; generated ones where there are none."""
    generated = default_palette(len(categories))
    colours = [category.get("color") or own for category, own in zip(categories, generated, strict=True)]
    try:
        return check_palette(colours, classes)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: color of categories: {error}") from error


def read_annotated_segments(folder: Path, annotation: Entry, size: tuple[int, int], path: Path) -> Tensor:
    """Read the segment ids of an image, int32 of its size (height, width).

    Args:
        folder: of the PNG files.
        annotation: of the image, in the file ``path``.
        size: of the image.
        path: the annotation file.

    Raises:
        ValueError: naming the files: the PNG cannot be read, or has another size or other ids.
    """
    file = folder / str(annotation["file_name"])
    ids = read_segment_ids(file)
    if tuple(ids.shape) != size:
        raise ValueError(f"{file}: size {ids.size(1)}x{ids.size(0)} differs from {size[1]}x{size[0]} of its image")
    listed = {info["id"] for info in annotation["segments_info"]}
    found = set(ids.unique().tolist()) - {_VOID}
    for wrong, where in ((found - listed, "in"), (listed - found, "not in")):
        if wrong:
            other = f"{'not in' if where == 'in' else 'in'} {path}"
            raise ValueError(f"{file}: segments {where} this file but {other}: id {shortened(sorted(wrong))}")
    return ids


def read_segment_ids(path: str | Path) -> Tensor:
    """Read the segment ids of a PNG, red + 256 green + 65536 blue.

    Returns:
        int32, [H, W].

    Raises:
        ValueError: naming the file: it cannot be read.
    """
    red, green, blue = read_image(path).to(torch.int32)
    return red + 256 * green + 65536 * blue
