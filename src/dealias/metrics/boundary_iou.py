# SPDX-License-Identifier: Apache-2.0
"""Boundary IoU, the overlap of the inner boundaries of prediction and ground truth (Cheng et al., arXiv:2103.16562)."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from dealias.metrics.edges import PREDICTED_BAND, TARGET_BAND
from dealias.metrics.labels import checked_labels, without_ignored
from dealias.metrics.segmentation import BOTH_BANDS, region_histogram
from dealias.ops.label_edges import running_or


def boundary_dilation(height: int, width: int, ratio: float = 0.02) -> int:
    """Thickness of the boundary in pixels: ``ratio`` of the image's diagonal, at least one.

    >>> boundary_dilation(1024, 2048)
    46
    """
    return max(1, round(ratio * math.hypot(height, width)))


def label_boundary(labels: Tensor, dilation: int) -> Tensor:
    """Pixels that have another label, or the outside of the image, at most ``dilation`` pixels away.

    These are the inner boundaries of all labels at once. Distances are those of the chessboard.

    Args:
        labels: ids, (..., H, W), any integer type or bool.
        dilation: thickness of the boundary in pixels, at least 1.

    Returns:
        (..., H, W), bool.

    Raises:
        ValueError: ``dilation`` is less than 1.
    """
    return _near(_meeting_corners(labels), dilation).view(torch.bool)


def mask_to_boundary(mask: Tensor, dilation: int) -> Tensor:
    """Inner boundary of a mask: the mask without its erosion by ``dilation`` steps of a 3 x 3 square.

    The outside of the image is empty, so that a mask cut by the border has a boundary there.

    Args:
        mask: (..., H, W), bool, or integer with 0 outside the mask.
        dilation: thickness of the boundary in pixels, at least 1; see :func:`boundary_dilation`.

    Returns:
        (..., H, W), bool.

    Raises:
        ValueError: ``dilation`` is less than 1.

    >>> mask_to_boundary(torch.ones(4, 5), dilation=1).int()
    tensor([[1, 1, 1, 1, 1],
            [1, 0, 0, 0, 1],
            [1, 0, 0, 0, 1],
            [1, 1, 1, 1, 1]], dtype=torch.int32)
    """
    inside = mask != 0
    return inside & label_boundary(inside, dilation)


def boundary_areas(
    preds: Tensor, target: Tensor, num_classes: int, ignore_index: int = 255, dilation_ratio: float = 0.02
) -> tuple[Tensor, Tensor]:
    """Intersection and union of predicted and true boundaries of each class; those of several batches add up.

    Ignored pixels belong to no class in either map: a mask ends where the ground truth does.

    Args:
        preds: ids, (B, H, W), any integer type, or logits, (B, C, H, W).
        target: ids, (B, H, W), any integer type.
        num_classes: number of classes C.
        ignore_index: the id in ``target`` of pixels that are not counted.
        dilation_ratio: thickness of the boundary as a part of the diagonal of H x W.

    Returns:
        Intersection and union in pixels, each (C,), int64.

    Raises:
        ValueError: shapes, types or ids are not those above.
    """
    preds, target = checked_labels(preds, target, num_classes, ignore_index)
    boundaries = inner_boundaries(preds, target, num_classes, ignore_index, dilation_ratio)
    return boundary_overlap(region_histogram(preds, target, boundaries, num_classes, ignore_index))


def inner_boundaries(
    preds: Tensor, target: Tensor, num_classes: int, ignore_index: int = 255, dilation_ratio: float = 0.02
) -> Tensor:
    """Which pixels lie on a boundary of a predicted class, and which on one of a true class.

    Ignored pixels belong to no class in either map, as in :func:`boundary_areas`.

    Args:
        preds: predicted ids in [0, C), (..., H, W), any integer type; they are not checked.
        target: ground-truth ids in [0, C) or ``ignore_index``, same shape.
        num_classes: number of classes C.
        ignore_index: the id in ``target`` of pixels that belong to no class.
        dilation_ratio: thickness of the boundary as a part of the diagonal of H x W.

    Returns:
        (..., H, W), uint8: 0 on neither, 1 (``PREDICTED_BAND``), 2 (``TARGET_BAND``), or 3 on both.
    """
    expected = without_ignored(target, num_classes, ignore_index)
    ignored = expected.eq(num_classes).to(expected.dtype)
    predicted = torch.maximum(preds, ignored * num_classes)
    corners = _meeting_corners(predicted).mul_(PREDICTED_BAND)
    corners |= _meeting_corners(expected).mul_(TARGET_BAND)
    height, width = target.shape[-2:]
    return _near(corners, boundary_dilation(height, width, dilation_ratio))


def boundary_overlap(histogram: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection and union of the boundaries of each class, each (C,).

    Args:
        histogram: (4, C, C), :func:`dealias.metrics.region_histogram` of the codes of :func:`inner_boundaries`.
    """
    both = histogram[BOTH_BANDS]
    predicted, expected = (histogram[PREDICTED_BAND] + both).sum(0), (histogram[TARGET_BAND] + both).sum(1)
    intersection = both.diagonal()
    return intersection, predicted + expected - intersection


def _meeting_corners(labels: Tensor) -> Tensor:
    """Corners of pixels where labels meet or the image ends, (..., H + 1, W + 1), uint8, for (..., H, W)."""
    height, width = labels.shape[-2:]
    corners = torch.ones((*labels.shape[:-2], height + 1, width + 1), dtype=torch.uint8, device=labels.device)
    beside = (labels[..., :-1] != labels[..., 1:]).view(torch.uint8)
    below = (labels[..., :-1, :-1] != labels[..., 1:, :-1]).view(torch.uint8)
    corners[..., 1:-1, 1:-1] = beside[..., :-1, :] | beside[..., 1:, :] | below
    return corners


def _near(corners: Tensor, dilation: int) -> Tensor:
    """Bitwise or over the corners at most ``dilation`` pixels away: of 2 ``dilation`` x 2 ``dilation``; (..., H, W)."""
    if dilation < 1:
        raise ValueError(f"the dilation must be at least 1 pixel, found {dilation}")
    margin = dilation - 1
    bits = functional.pad(corners, (margin, margin, margin, margin))
    for dim in (-2, -1):
        bits = running_or(bits, 2 * dilation, dim)
    return bits
