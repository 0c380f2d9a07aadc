# SPDX-License-Identifier: Apache-2.0
"""Scores of semantic segmentation over all pixels and over the hard ones near edges (arXiv:2403.09065)."""

import torch
from torch import Tensor

from dealias.metrics.edges import PREDICTED_BAND, TARGET_BAND, boundary_regions
from dealias.metrics.labels import checked_labels, without_ignored
from dealias.ops.label_edges import check_edges, check_width

REGIONS = 4
BOTH_BANDS = PREDICTED_BAND | TARGET_BAND


def joint_histogram(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    ignore_index: int = 255,
    edges: str = "exact",
    width: int = 15,
) -> Tensor:
    """Pixel counts by region, ground-truth class and predicted class: all that :func:`segmentation_scores` needs.

    Histograms of several batches add up. Regions are those of :func:`dealias.metrics.boundary_regions`, found in each
    image alone.

    Args:
        preds: ids, (B, H, W), any integer type, or logits, (B, C, H, W).
        target: ids, (B, H, W), any integer type.
        num_classes: number of classes C.
        ignore_index: the id in ``target`` of pixels that are not counted; its outline is an edge.
        edges: ``"exact"`` or ``"released"``, see :func:`dealias.metrics.label_edges`.
        width: width in pixels of the band around an edge, odd.

    Returns:
        (4, C, C), int64: [region, ground truth, prediction].

    Raises:
        ValueError: shapes, types, ids or options are not those above.

    >>> preds, target = torch.tensor([[[0, 0, 1, 1]]]), torch.tensor([[[0, 0, 0, 1]]])
    >>> joint_histogram(preds, target, num_classes=2, width=1).sum(0)
    tensor([[2, 1],
            [0, 1]])
    """
    check_edges(edges)
    check_width(width)
    preds, target = checked_labels(preds, target, num_classes, ignore_index)
    return region_histogram(preds, target, boundary_regions(preds, target, edges, width), num_classes, ignore_index)


def region_histogram(
    preds: Tensor, target: Tensor, regions: Tensor, num_classes: int, ignore_index: int = 255
) -> Tensor:
    """The histogram of :func:`joint_histogram` for regions that are given; the ids are not checked.

    Args:
        preds: ids in [0, C), any shape and integer type.
        target: ids in [0, C) or ``ignore_index``, same shape.
        regions: codes 0 to 3, same shape, uint8.
        num_classes: number of classes C.
        ignore_index: the id in ``target`` of pixels that are not counted.

    Returns:
        (4, C, C), int64: [region, ground truth, prediction].
    """
    # Ignored pixels get a row of their own, dropped afterwards: cheaper than selecting the others.
    rows = num_classes + 1
    bins = REGIONS * rows * num_classes
    expected = without_ignored(target, num_classes, ignore_index).to(_narrowest(REGIONS * rows))
    row = torch.add(expected, regions, alpha=rows)
    index = row.to(_narrowest(bins)).mul_(num_classes).add_(preds)
    counts = torch.bincount(index.flatten(), minlength=bins)
    return counts.view(REGIONS, rows, num_classes)[:, :num_classes]


def _narrowest(count: int) -> torch.dtype:
    """The smallest type that holds ``count`` codes, because the time goes into memory traffic."""
    types = (torch.uint8, torch.int16, torch.int32, torch.int64)
    return next(dtype for dtype in types if count - 1 <= torch.iinfo(dtype).max)


def class_iou(confusion: Tensor) -> Tensor:
    """Intersection over union, (C,) float64, of counts (C, C) [ground truth, prediction]; nan for an absent class.

    Further columns are predictions that are right nowhere.
    """
    intersection = confusion.diagonal()
    return intersection.double() / (confusion.sum(0)[: len(confusion)] + confusion.sum(1) - intersection)


def class_accuracy(confusion: Tensor) -> Tensor:
    """Share of a class's pixels predicted as it, (C,) float64, of counts (C, C); nan without ground truth."""
    return confusion.diagonal().double() / confusion.sum(1)


def segmentation_scores(histogram: Tensor) -> dict[str, Tensor]:
    """Scores of a joint histogram: of the whole image, and of the bands P and G around predicted and true edges.

    Means leave out absent classes: those without any pixel for IoU, those without ground truth for accuracy, each
    in the region of the score. A score without any class left is nan.

    Args:
        histogram: (4, C, C) of :func:`joint_histogram`, summed over the data set; or with more columns, whose pixels
            are right nowhere.

    Returns:
        Fractions in [0, 1], float64, without dimensions unless said otherwise:

        - ``aAcc`` share of right pixels, ``mAcc`` mean class accuracy, ``mIoU`` mean class IoU, over all pixels;
        - ``BIoU``, ``BAcc`` mean class IoU and accuracy over P or G;
        - ``FErr``, ``MErr``, ``DErr`` one minus the mean class accuracy over P, over G, over both: false, missed
          and displaced edges;
        - ``IoU``, ``Acc`` of each class over all pixels, (C,), nan for an absent class.

    >>> preds, target = torch.tensor([[[0, 0, 1, 1]]]), torch.tensor([[[0, 0, 0, 1]]])
    >>> scores = segmentation_scores(joint_histogram(preds, target, num_classes=2, width=1))
    >>> {name: scores[name].item() for name in ("aAcc", "BAcc", "DErr")}
    {'aAcc': 0.75, 'BAcc': 0.75, 'DErr': 1.0}
    """
    everywhere = histogram.sum(0)
    either_band = everywhere - histogram[0]
    both_bands = histogram[BOTH_BANDS]
    predicted_band = histogram[PREDICTED_BAND] + both_bands
    target_band = histogram[TARGET_BAND] + both_bands
    iou, accuracy = class_iou(everywhere), class_accuracy(everywhere)
    return {
        "aAcc": everywhere.diagonal().sum().double() / everywhere.sum(),
        "mAcc": accuracy.nanmean(),
        "mIoU": iou.nanmean(),
        "BIoU": class_iou(either_band).nanmean(),
        "BAcc": class_accuracy(either_band).nanmean(),
        "FErr": 1 - class_accuracy(predicted_band).nanmean(),
        "MErr": 1 - class_accuracy(target_band).nanmean(),
        "DErr": 1 - class_accuracy(both_bands).nanmean(),
        "IoU": iou,
        "Acc": accuracy,
    }
