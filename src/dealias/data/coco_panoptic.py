# SPDX-License-Identifier: Apache-2.0
"""Panoptic segments in COCO's format (Kirillov et al., arXiv:1801.00868): a JSON file and a PNG of ids per image."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from .coco_json import Entry, read_coco_file
from .colours import default_palette
from .images import read_image
from .label_ids import shortened
from .objects import ObjectSample, boxes_of_masks, object_target, read_annotated_image

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
        self._file = read_coco_file(annotations, ("file_name", "segments_info"), ("isthing",))
        self.segments = self._file.path.with_suffix("") if segments is None else Path(segments)
        self.classes, self.category_ids = self._file.classes, tuple(self._file.categories)
        categories = list(self._file.categories.values())
        self.is_thing = tuple(bool(category["isthing"]) for category in categories)
        colours = [category.get("color") for category in categories]
        generated = default_palette(len(categories))
        self.palette = tuple((c[0], c[1], c[2]) if c else g for c, g in zip(colours, generated, strict=True))
        self._annotations = {annotation["image_id"]: annotation for annotation in self._file.annotations}
        self.image_ids = list(self._annotations)
        self._check_images()

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, index: int) -> ObjectSample:
        image_id = self.image_ids[index]
        entry, annotation = self._file.images[image_id], self._annotations[image_id]
        size = int(entry["height"]), int(entry["width"])
        image = read_annotated_image(self.images / str(entry["file_name"]), size, self._file.path)
        infos = annotation["segments_info"]
        masks = self._masks(annotation, size)
        target = object_target(
            masks,
            [self._file.labels[info["category_id"]] for info in infos],
            boxes_of_masks(masks),
            [float(info.get("area", mask.sum())) for info, mask in zip(infos, masks, strict=True)],
            [int(info.get("iscrowd", 0)) for info in infos],
            image_id,
        )
        name = PurePosixPath(str(entry["file_name"])).with_suffix("").as_posix()
        return {"image": image, "target": target, "name": name}

    def _masks(self, annotation: Entry, size: tuple[int, int]) -> Tensor:
        path = self.segments / str(annotation["file_name"])
        ids = read_segment_ids(path)
        if tuple(ids.shape) != size:
            raise ValueError(f"{path}: size {ids.size(1)}x{ids.size(0)} differs from {size[1]}x{size[0]} of its image")
        listed = [int(info["id"]) for info in annotation["segments_info"]]
        found = set(ids.unique().tolist()) - {_VOID}
        for wrong, where in ((found - set(listed), "in"), (set(listed) - found, "not in")):
            if wrong:
                other = f"{'not in' if where == 'in' else 'in'} {self._file.path}"
                raise ValueError(f"{path}: segments {where} this file but {other}: id {shortened(sorted(wrong))}")
        return (ids == torch.tensor(listed, dtype=torch.int32)[:, None, None]).to(torch.uint8)

    def _check_images(self) -> None:
        path = self._file.path
        if len(self._annotations) < len(self._file.annotations):
            raise ValueError(f"{path}: {len(self._file.annotations)} annotations of {len(self._annotations)} images")
        without = [image_id for image_id in self._file.images if image_id not in self._annotations]
        if without:
            raise ValueError(f"{path}: images without annotation: id {shortened(without)}")
        if not self.image_ids:
            raise ValueError(f"{path}: no images")
        for image_id, annotation in self._annotations.items():
            for info in annotation["segments_info"]:
                if info.get("category_id") not in self._file.categories or int(info.get("id", 0)) <= _VOID:
                    raise ValueError(f"{path}: image {image_id}: segment of an unknown category or id: {dict(info)}")


def read_segment_ids(path: str | Path) -> Tensor:
    """Read the segment ids of a PNG, red + 256 green + 65536 blue.

    Returns:
        int32, [H, W].

    Raises:
        ValueError: naming the file: it cannot be read.
    """
    red, green, blue = read_image(path).to(torch.int32)
    return red + 256 * green + 65536 * blue
