# SPDX-License-Identifier: Apache-2.0
"""Panoptic maps: a segment id per pixel and a list of what the segments are, checked and numbered from 1."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import torch
from torch import Tensor

VOID = 0


class PanopticMap(TypedDict):
    """One image divided into segments, as in COCO's panoptic format.

    ``ids`` is [H, W], any integer type: the id of the segment of each pixel, 0 where there is none (void).
    ``segments_info`` describes each segment by its ``id`` (positive) and ``category_id``; those of a ground truth may
    have ``iscrowd`` (0 or 1) and ``area`` (pixels; by default what is counted in ``ids``). Other entries are not read.
    """

    ids: Tensor
    segments_info: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Segments:
    """A panoptic map whose segments are numbered from 1 in the order of their list.

    Attributes:
        index: [H, W], int32: 0 where void, 1 to N, or N + 1 where the id is not in the list.
        classes: class of each segment, [N], int64.
        crowd: which segments are crowd regions, [N], bool.
        area: pixels by the list, [N], float64; nan where the list has none.
    """

    index: Tensor
    classes: Tensor
    crowd: Tensor
    area: Tensor

    def __len__(self) -> int:
        return len(self.classes)


def panoptic_map(
    masks: Tensor, labels: Tensor, iscrowd: Tensor | None = None, area: Tensor | None = None
) -> PanopticMap:
    """The panoptic map of masks, of which later ones lie over earlier ones.

    Args:
        masks: [N, H, W], bool or integer with 0 outside the mask.
        labels: category of each mask, [N], integer.
        iscrowd: which are crowd regions, [N]; ``None``: none.
        area: pixels of each segment by its annotation, [N]; ``None``: as counted.

    Returns:
        Segments with the ids 1 to N; those that are covered by others are left out.

    Raises:
        ValueError: shapes are not those above.

    >>> found = panoptic_map(torch.tensor([[[1, 1, 0]], [[0, 0, 1]]]), torch.tensor([7, 3]))
    >>> found["ids"].tolist(), [segment["category_id"] for segment in found["segments_info"]]
    ([[1, 1, 2]], [7, 3])
    """
    if masks.ndim != 3 or labels.shape != masks.shape[:1]:
        raise ValueError(f"expected masks [N, H, W] and labels [N], found {list(masks.shape)} and {list(labels.shape)}")
    ids = torch.zeros(masks.shape[1:], dtype=torch.int32, device=masks.device)
    for number, mask in enumerate(masks, start=1):
        ids.masked_fill_(mask != 0, number)
    visible = ids.unique().tolist()
    segments: list[dict[str, Any]] = []
    for number in (number for number in visible if number != VOID):
        segment: dict[str, Any] = {"id": number, "category_id": int(labels[number - 1])}
        if iscrowd is not None:
            segment["iscrowd"] = int(iscrowd[number - 1])
        if area is not None:
            segment["area"] = float(area[number - 1])
        segments.append(segment)
    return {"ids": ids, "segments_info": segments}


def number_segments(name: str, found: PanopticMap, classes: Mapping[int, int], listed_only: bool) -> Segments:
    """Number the segments of a panoptic map.

    Args:
        name: what the map is, for errors.
        found: the map.
        classes: category id to class.
        listed_only: refuse ids without an entry in the list and entries without a pixel, as predictions must not have
            them.

    Raises:
        ValueError: ids are no integers [H, W], or ids, categories and pixels do not go together; naming them.
    """
    ids, infos = found["ids"], found["segments_info"]
    if ids.ndim != 2 or ids.numel() == 0 or ids.is_floating_point() or ids.is_complex():
        raise ValueError(f"{name} ids must be integers [H, W], found {ids.dtype} {list(ids.shape)}")
    numbers = [int(info["id"]) for info in infos]
    repeated = sorted(number for number, count in Counter(numbers).items() if count > 1 or number <= VOID)
    if repeated:
        raise ValueError(f"{name}: segment ids must be positive and listed once, found {repeated}")
    unknown = sorted({int(info["category_id"]) for info in infos} - classes.keys())
    if unknown:
        raise ValueError(f"{name}: segments of categories {unknown}, which are none of the metric's")
    index = _positions(ids, numbers)
    if listed_only:
        _check_listed(name, ids, index, numbers)
    return Segments(
        index,
        torch.tensor([classes[int(info["category_id"])] for info in infos], dtype=torch.int64, device=ids.device),
        torch.tensor([bool(info.get("iscrowd", 0)) for info in infos], dtype=torch.bool, device=ids.device),
        torch.tensor([float(info.get("area", "nan")) for info in infos], dtype=torch.float64, device=ids.device),
    )


def _positions(ids: Tensor, numbers: Sequence[int]) -> Tensor:
    """Where in ``numbers`` each id is, from 1; 0 for void, one more than there are for an unknown id; int32."""
    # Numbers of 32 bits take half the time; ids of COCO have 24.
    wide = max([*numbers, *(abs(int(bound)) for bound in ids.aminmax())]) > torch.iinfo(torch.int32).max
    flat = ids.flatten().to(torch.int64 if wide else torch.int32)
    ordered, order = torch.tensor([VOID, *numbers], dtype=flat.dtype, device=ids.device).sort()
    nearest = torch.searchsorted(ordered, flat, out_int32=True).clamp_(max=len(numbers))
    unknown = ordered.index_select(0, nearest) != flat
    return order.int().index_select(0, nearest).masked_fill_(unknown, len(numbers) + 1).view_as(ids)


def _check_listed(name: str, ids: Tensor, index: Tensor, numbers: Sequence[int]) -> None:
    pixels = torch.bincount(index.flatten(), minlength=len(numbers) + 2)
    if pixels[-1]:
        raise ValueError(f"{name}: pixels of ids {ids[index > len(numbers)].unique().tolist()} without a segment")
    absent = [number for number, count in zip(numbers, pixels[1:-1].tolist(), strict=True) if count == 0]
    if absent:
        raise ValueError(f"{name}: segments {absent} without a pixel")


def pair_areas(target: Segments, preds: Segments) -> Tensor:
    """Pixels of each pair of segments, [N + 2, M + 2], int64: [ground truth, prediction], each numbered as above."""
    return count_pairs(target.index, preds.index, len(target) + 2, len(preds) + 2)


def count_pairs(rows: Tensor, columns: Tensor, height: int, width: int) -> Tensor:
    """How often each pair of numbers meets, [height, width], int64."""
    return torch.bincount((rows * width + columns).flatten(), minlength=height * width).view(height, width)
