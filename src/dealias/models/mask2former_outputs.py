# SPDX-License-Identifier: Apache-2.0
"""Masks and classes of queries made into instances, a semantic and a panoptic map (arXiv:2112.01527, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .detection import MASK_THRESHOLD

_ROWS = 64  # of the image for which all categories are held at once


@dataclass(frozen=True)
class OutputSettings:
    """Thresholds of :func:`segment`; the defaults are the published ones.

    Args:
        object_threshold: queries of no higher class probability are not in the panoptic map.
        overlap_threshold: nor those that less than this share of their mask is left to.
        detections: largest number of instances.
    """

    object_threshold: float = 0.8
    overlap_threshold: float = 0.8
    detections: int = 100


def segment(classes: Tensor, masks: Tensor, things: int, settings: OutputSettings) -> dict[str, Any]:
    """Read one image's queries.

    Args:
        classes: logits of every category and, last, of none, [Q, K + 1].
        masks: logits at the size of the image, [Q, H, W].
        things: number of thing categories, which come before stuff.
        settings: thresholds.

    Returns:
        ``boxes``, ``labels``, ``scores``, ``masks`` as of :func:`instances`; ``semantic`` as of :func:`semantic_map`;
        ``panoptic`` as of :func:`panoptic_map`.
    """
    probabilities, inside = classes.softmax(-1), masks.sigmoid()
    return {
        **instances(probabilities, inside, things, settings.detections),
        "semantic": semantic_map(probabilities, inside),
        "panoptic": panoptic_map(probabilities, inside, things, settings),
    }


def instances(classes: Tensor, masks: Tensor, things: int, count: int) -> dict[str, Tensor]:
    """The best pairs of a query and a thing category.

    A pair scores the category's probability times the mean probability of the pixels in the mask, which are those with
    at least 0.5. Pairs without such a pixel are left out.

    Args:
        classes: probabilities, [Q, K + 1].
        masks: probabilities, [Q, H, W].
        things: number of thing categories.
        count: largest number of pairs.

    Returns:
        ``boxes`` [M, 4] around the masks (x1, y1, x2, y2 in pixels), ``labels`` [M], 1 to ``things``, ``scores`` [M],
        ``masks`` [M, 1, H, W], probabilities; best first.
    """
    inside = masks >= MASK_THRESHOLD
    areas = inside.flatten(1).sum(1)
    quality = (masks * inside).flatten(1).sum(1) / areas.clamp(min=1)
    scores = classes[:, :things].flatten()
    pairs = scores.topk(min(count, len(scores))).indices
    pairs = pairs[areas[pairs // things] > 0]
    scores = scores[pairs] * quality[pairs // things]
    scores, order = scores.sort(descending=True, stable=True)
    queries, labels = pairs[order] // things, pairs[order] % things + 1
    return {"boxes": _boxes(inside)[queries], "labels": labels, "scores": scores, "masks": masks[queries, None]}


def semantic_map(classes: Tensor, masks: Tensor) -> Tensor:
    """The most probable category of every pixel: the sum over queries of class times mask probability.

    Args:
        classes: probabilities, [Q, K + 1].
        masks: probabilities, [Q, H, W].

    Returns:
        Categories 1 to K, [H, W], int64.
    """
    strips = masks.split(_ROWS, 1)
    return torch.cat([torch.einsum("qk,qhw->khw", classes[:, :-1], strip).argmax(0) + 1 for strip in strips])


def panoptic_map(classes: Tensor, masks: Tensor, things: int, settings: OutputSettings) -> dict[str, Any]:
    """Give every pixel to the query with the highest product of class and mask probability, or to none.

    A query that is left with too small a part of its mask gets nothing; its pixels are void. Those with one stuff
    category become one segment.

    Args:
        classes: probabilities, [Q, K + 1].
        masks: probabilities, [Q, H, W].
        things: number of thing categories.
        settings: thresholds.

    Returns:
        ``ids`` [H, W], int32: the segment of every pixel, 0 where void. ``segments_info``: of each segment ``id`` (from
        1), ``category_id``, ``isthing``, ``area`` in pixels and, of things, ``score``.
    """
    scores, labels = classes.max(-1)
    kept = (labels < classes.shape[-1] - 1) & (scores > settings.object_threshold)
    ids = torch.zeros(masks.shape[1:], dtype=torch.int32, device=masks.device)
    segments: list[dict[str, Any]] = []
    if not kept.any():
        return {"ids": ids, "segments_info": segments}
    scores, labels, masks = scores[kept], labels[kept], masks[kept]
    owners, inside = (masks * scores[:, None, None]).argmax(0), masks >= MASK_THRESHOLD
    numbers: dict[int, int] = {}  # of stuff categories
    for query, (score, label) in enumerate(zip(scores.tolist(), labels.tolist(), strict=True)):
        pixels = inside[query] & (owners == query)
        area = int(pixels.sum())
        # the share counts pixels that are given to the query, inside its mask or not, as in the published code
        if area == 0 or int((owners == query).sum()) < settings.overlap_threshold * int(inside[query].sum()):
            continue
        if label in numbers:
            segments[numbers[label] - 1]["area"] += area
            ids.masked_fill_(pixels, numbers[label])
            continue
        found = {"id": len(segments) + 1, "category_id": label + 1, "isthing": label < things, "area": area}
        segments.append(found | ({"score": score} if label < things else {}))
        ids.masked_fill_(pixels, len(segments))
        if label >= things:
            numbers[label] = len(segments)
    return {"ids": ids, "segments_info": segments}


def _boxes(inside: Tensor) -> Tensor:
    """Boxes [N, 4] around masks [N, H, W], right and lower edges included; of an empty mask any."""
    sides = []
    for lines in (inside.any(1), inside.any(2)):  # columns, rows
        first = lines.int().argmax(1)
        last = lines.shape[1] - lines.flip(1).int().argmax(1)
        sides.append((first, last))
    (left, right), (top, bottom) = sides
    return torch.stack([left, top, right, bottom], 1).to(torch.float32)
