# SPDX-License-Identifier: Apache-2.0
"""What every data set of objects gives: boxes, masks and labels of one image, of instances or panoptic segments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypedDict

import torch
from torch import Tensor
from torchvision import tv_tensors

from .images import read_image
from .sample import Palette


class ObjectTarget(TypedDict):
    """The N objects of an image of H x W pixels.

    ``boxes`` are (left, top, right, bottom) in pixels, right and bottom exclusive, float32 [N, 4]; ``labels`` class ids
    from 0, int64 [N]; ``masks`` uint8 [N, H, W], 1 inside; ``image_id`` is that of the annotations; ``area`` is in
    pixels of the annotated image, float32 [N]; ``iscrowd`` is 1 for a region of many objects, int64 [N].
    """

    boxes: tv_tensors.BoundingBoxes
    labels: Tensor
    masks: tv_tensors.Mask
    image_id: int
    area: Tensor
    iscrowd: Tensor


class ObjectSample(TypedDict):
    """One image with its objects; ``image`` and ``name`` as in :class:`dealias.data.Sample`."""

    image: tv_tensors.Image
    target: ObjectTarget
    name: str


class ObjectDataset(Protocol):
    """A map-style data set of :class:`ObjectSample`; any class with these attributes is one.

    ``is_thing`` says which classes are counted in instances. In a data set of instances all are; one of panoptic
    segments has the segments of both kinds, which do not overlap. ``category_ids`` are those of the classes in files of
    COCO's formats.
    """

    classes: tuple[str, ...]
    palette: Palette
    is_thing: tuple[bool, ...]
    category_ids: tuple[int, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> ObjectSample: ...


def object_target(
    masks: Tensor, labels: Sequence[int], boxes: Any, area: Sequence[float], iscrowd: Sequence[int], image_id: int
) -> ObjectTarget:
    """A target from plain values: ``boxes`` are (left, top, right, bottom), N of everything, which may be 0."""
    height, width = masks.shape[-2:]
    corners = torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return {
        "boxes": tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=(height, width)),
        "labels": torch.as_tensor(labels, dtype=torch.int64),
        "masks": tv_tensors.Mask(masks),
        "image_id": image_id,
        "area": torch.as_tensor(area, dtype=torch.float32),
        "iscrowd": torch.as_tensor(iscrowd, dtype=torch.int64),
    }


def read_annotated_image(path: Path, size: tuple[int, int], annotations: Path) -> tv_tensors.Image:
    """Read an image whose (height, width) its annotations say.

    Raises:
        ValueError: naming the files: it cannot be read, or has another size.
    """
    image = read_image(path)
    if tuple(image.shape[1:]) != size:
        found = f"{image.shape[2]}x{image.shape[1]}"
        raise ValueError(f"{path}: size {found} differs from {size[1]}x{size[0]} in {annotations}")
    return tv_tensors.Image(image)


def collate_objects(samples: Sequence[ObjectSample]) -> dict[str, list[Any]]:
    """Samples to a batch of lists, as sizes and numbers of objects differ: ``image``, ``target`` and ``name``."""
    return {
        "image": [sample["image"] for sample in samples],
        "target": [sample["target"] for sample in samples],
        "name": [sample["name"] for sample in samples],
    }


def boxes_of_masks(masks: Tensor) -> Tensor:
    """Smallest boxes (left, top, right, bottom) around masks, right and bottom exclusive; zero for an empty mask.

    Args:
        masks: [N, H, W], 0 outside.

    Returns:
        float32, [N, 4].

    >>> boxes_of_masks(torch.tensor([[[0, 0, 0], [0, 1, 1]], [[0, 0, 0], [0, 0, 0]]]))
    tensor([[1., 1., 3., 2.],
            [0., 0., 0., 0.]])
    """
    ends = []
    for seen in ((masks != 0).any(dim=1), (masks != 0).any(dim=2)):
        last = seen.size(1)
        first = seen.to(torch.uint8).argmax(dim=1)
        behind = last - seen.flip(1).to(torch.uint8).argmax(dim=1)
        ends.append((first, torch.where(seen.any(dim=1), behind, 0)))
    (left, right), (top, bottom) = ends
    return torch.stack([left, top, right, bottom], dim=1).float()
