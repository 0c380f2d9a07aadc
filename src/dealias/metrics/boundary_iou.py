# SPDX-License-Identifier: Apache-2.0
"""Boundary IoU, the overlap of the inner boundaries of prediction and ground truth (Cheng et al., arXiv:2103.16562)."""

import math

import torch
from torch import Tensor

from dealias.metrics.edges import EIGHT_NEIGHBOURS, differing_neighbours, dilate
from dealias.metrics.labels import checked_labels


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
    if dilation < 1:
        raise ValueError(f"the dilation must be at least 1 pixel, found {dilation}")
    edges = differing_neighbours(labels, EIGHT_NEIGHBOURS)
    for dim in (-2, -1):
        edges.narrow(dim, 0, 1).fill_(True)
        edges.narrow(dim, edges.size(dim) - 1, 1).fill_(True)
    return dilate(edges, 2 * dilation - 1)


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
    height, width = target.shape[-2:]
    dilation = boundary_dilation(height, width, dilation_ratio)
    ignored = target == ignore_index
    # The spare id C stands for "no class": ignored, or not on a boundary.
    preds, target = (labels.masked_fill(ignored, num_classes) for labels in (preds, target))
    predicted, expected = (
        labels.masked_fill(~label_boundary(labels, dilation), num_classes) for labels in (preds, target)
    )
    areas = [_class_areas(labels, num_classes) for labels in (predicted, expected)]
    intersection = _class_areas(predicted.masked_fill(predicted != expected, num_classes), num_classes)
    return intersection, areas[0] + areas[1] - intersection


def _class_areas(labels: Tensor, num_classes: int) -> Tensor:
    return torch.bincount(labels.flatten(), minlength=num_classes + 1)[:num_classes]
