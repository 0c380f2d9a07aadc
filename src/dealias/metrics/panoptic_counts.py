# SPDX-License-Identifier: Apache-2.0
"""Panoptic quality (Kirillov et al., arXiv:1801.00868) and boundary PQ (Cheng et al., arXiv:2103.16562) of counts."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dealias.metrics.boundary_iou import boundary_dilation, label_boundary
from dealias.metrics.panoptic_maps import Segments, count_pairs, pair_areas

LARGEST_MISS = 0.5
"""Segments match above this IoU; predictions with a larger share in void and crowd regions are not counted."""


@dataclass(frozen=True)
class PanopticCounts:
    """What is summed over images to give panoptic quality, each [C].

    Attributes:
        iou: sum of the IoU of matched segments, float64.
        tp: matched pairs, int64.
        fp: predicted segments without a match, int64.
        fn: true segments without a match, int64.
    """

    iou: Tensor
    tp: Tensor
    fp: Tensor
    fn: Tensor


def panoptic_counts(
    preds: Segments, target: Segments, num_classes: int, boundary_ratio: float | None = None
) -> PanopticCounts:
    """Match the segments of one image and count, by the rules of the COCO panoptic API.

    Segments of one class match if their IoU is above 0.5; pixels of the prediction in void do not count in the union.
    The area of a true segment is that of its annotation. Crowd regions match nothing and are not missed. A prediction
    without a match is not counted if more than half of it lies in void and in the last crowd region of its class.

    Args:
        preds: predicted segments.
        target: true segments, the same size.
        num_classes: number of classes C.
        boundary_ratio: thickness of the boundary as a part of the image's diagonal; the IoU is then the smaller of that
            of the segments and that of their inner boundaries. ``None``: that of the segments.
    """
    areas = pair_areas(target, preds)
    counted = areas.sum(1)[1:-1].double()
    iou = pair_iou(areas, torch.where(target.area.isnan(), counted, target.area))
    if boundary_ratio is not None:
        boundary_areas = _boundary_pair_areas(preds, target, boundary_ratio)
        iou = torch.minimum(iou, pair_iou(boundary_areas, boundary_areas.sum(1)[1:-1].double()))
    matched = (iou > LARGEST_MISS) & (target.classes[:, None] == preds.classes) & ~target.crowd[:, None]
    missed = ~matched.any(1) & ~target.crowd
    false = ~matched.any(0) & ~_excused(areas, preds, target)
    rows, columns = matched.nonzero(as_tuple=True)
    classes = target.classes[rows]
    return PanopticCounts(
        torch.bincount(classes, iou[rows, columns], minlength=num_classes).double(),
        torch.bincount(classes, minlength=num_classes),
        torch.bincount(preds.classes[false], minlength=num_classes),
        torch.bincount(target.classes[missed], minlength=num_classes),
    )


def pair_iou(areas: Tensor, target_area: Tensor) -> Tensor:
    """IoU of each true with each predicted segment, [N, M], float64.

    Args:
        areas: pixels of pairs, [N + 2, M + 2], :func:`dealias.metrics.panoptic_maps.pair_areas`.
        target_area: of the true segments, [N], float64.
    """
    intersection, in_void = areas[1:-1, 1:-1], areas[0, 1:-1]
    predicted = areas[:, 1:-1].sum(0) - in_void
    return intersection / (predicted + target_area[:, None] - intersection)


def _boundary_pair_areas(preds: Segments, target: Segments, ratio: float) -> Tensor:
    """Pixels of pairs of inner boundaries; the whole of void stays void, as its pixels belong to no segment."""
    dilation = boundary_dilation(target.index.size(0), target.index.size(1), ratio)
    inner = (target.index > 0) & ~label_boundary(target.index, dilation)
    rows = target.index.masked_fill(inner, len(target) + 1)
    columns = preds.index.masked_fill(~label_boundary(preds.index, dilation), len(preds) + 1)
    return count_pairs(rows, columns, len(target) + 2, len(preds) + 2)


def _excused(areas: Tensor, preds: Segments, target: Segments) -> Tensor:
    """Which predicted segments lie mostly in void and in the last crowd region of their class, [M], bool."""
    share = areas[0, 1:-1].clone()
    last_crowd = {int(target.classes[i]): i for i in target.crowd.nonzero().flatten().tolist()}
    for label, region in last_crowd.items():
        share += areas[region + 1, 1:-1] * (preds.classes == label)
    return share > LARGEST_MISS * areas[:, 1:-1].sum(0).double()


def panoptic_qualities(counts: PanopticCounts) -> dict[str, Tensor]:
    """PQ, SQ and RQ of each class, (C,), float64, nan for a class without any segment.

    SQ is the mean IoU of matched segments (0 without any), RQ the F1 score of matching, and PQ their product.
    """
    present = counts.tp + counts.fp + counts.fn > 0
    weight = counts.tp + 0.5 * (counts.fp + counts.fn).double()
    absent = torch.full_like(counts.iou, torch.nan)
    return {
        "PQ": torch.where(present, counts.iou / weight, absent),
        "SQ": torch.where(present, counts.iou / counts.tp.clamp(min=1), absent),
        "RQ": torch.where(present, counts.tp / weight, absent),
    }
