# SPDX-License-Identifier: Apache-2.0
"""Instances and a semantic map merged into one panoptic map, by the heuristic of arXiv 1801.00868 and 1901.02446."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class MergeSettings:
    """Thresholds of :func:`merge_panoptic`; the defaults are those of Panoptic FPN.

    Args:
        score: instances with a lower score are left out.
        overlap: instances more of whose pixels than this share are taken already are left out.
        stuff_area: stuff regions of fewer pixels are left out.
    """

    score: float = 0.6
    overlap: float = 0.5
    stuff_area: int = 4096


_DEFAULTS = MergeSettings()


def merge_panoptic(
    masks: Tensor, labels: Tensor, scores: Tensor, semantic: Tensor, things: int, settings: MergeSettings = _DEFAULTS
) -> dict[str, Any]:
    """Give every pixel to one segment at most.

    Instances take their pixels in the order of their scores, best first, as far as they are free. Then stuff takes
    what is left, by the semantic map, one segment for each class. The rest is void.

    Args:
        masks: of the instances, [N, H, W], bool.
        labels: categories of the instances, [N], 1 to ``things``.
        scores: of the instances, [N].
        semantic: class of every pixel, [H, W], integer: 0 for any thing, s for the stuff category ``things + s``.
        things: number of thing categories.
        settings: thresholds.

    Returns:
        ``ids`` [H, W], int32: the segment of every pixel, 0 where void. ``segments_info``: of each segment ``id`` (from
        1), ``category_id``, ``isthing``, ``area`` in pixels and, of things, ``score``.

    Raises:
        ValueError: shapes or types are not those above.

    >>> masks = torch.tensor([[[True, True, False, False]], [[False, True, True, False]]])
    >>> semantic = torch.tensor([[2, 0, 0, 1]])
    >>> found = merge_panoptic(
    ...     masks, torch.tensor([1, 3]), torch.tensor([0.7, 0.9]), semantic, 3, MergeSettings(stuff_area=1)
    ... )
    >>> found["ids"].tolist(), [segment["category_id"] for segment in found["segments_info"]]
    ([[2, 1, 1, 3]], [3, 1, 4])
    """
    if masks.dtype != torch.bool or masks.shape[1:] != semantic.shape or not len(masks) == len(labels) == len(scores):
        raise ValueError(
            f"expected masks [N, H, W] of bool, labels [N], scores [N] and semantic [H, W], got {masks.dtype} "
            f"{tuple(masks.shape)}, {tuple(labels.shape)}, {tuple(scores.shape)} and {tuple(semantic.shape)}"
        )
    ids = torch.zeros(semantic.shape, dtype=torch.int32, device=semantic.device)
    segments: list[dict[str, Any]] = []
    order = scores.argsort(descending=True, stable=True)
    areas = masks.flatten(1).sum(1).tolist()
    for number in order[scores[order] >= settings.score].tolist():
        free = masks[number] & (ids == 0)
        area = int(free.sum())
        if area == 0 or areas[number] - area > settings.overlap * areas[number]:
            continue
        found = {"category_id": int(labels[number]), "isthing": True, "area": area, "score": float(scores[number])}
        _add(ids, segments, free, found)
    for stuff in semantic[ids == 0].unique().tolist():
        free = (semantic == stuff) & (ids == 0)
        area = int(free.sum())
        if stuff > 0 and area >= settings.stuff_area:
            _add(ids, segments, free, {"category_id": things + stuff, "isthing": False, "area": area})
    return {"ids": ids, "segments_info": segments}


def _add(ids: Tensor, segments: list[dict[str, Any]], pixels: Tensor, segment: dict[str, Any]) -> None:
    number = len(segments) + 1
    ids.masked_fill_(pixels, number)
    segments.append({"id": number, **segment})
