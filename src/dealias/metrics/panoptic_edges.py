# SPDX-License-Identifier: Apache-2.0
"""Hard-pixel metrics on panoptic maps: pixels near edges of segments, where instances touch too (arXiv:2403.09065)."""

import torch
from torch import Tensor

from dealias.metrics.edges import boundary_regions
from dealias.metrics.panoptic_maps import Segments, pair_areas
from dealias.metrics.segmentation import region_histogram


def panoptic_histogram(preds: Segments, target: Segments, things: Tensor, width: int = 15) -> Tensor:
    """Pixel counts by region, true class and predicted class, where a thing must also be the right instance.

    Regions are the bands around the edges between segments, so that the line along which two instances of one class
    touch is an edge. A pixel of a thing is right if its predicted segment is the partner of its true one: of one class,
    and each the largest overlap of the other; other pixels of the right class are in the last column with those
    without a predicted segment. A stuff class needs no partner. Void and crowd regions of the ground truth are not
    counted, but have edges.

    Args:
        preds: predicted segments of an image.
        target: true segments, the same size.
        things: which classes are counted in instances, [C], bool.
        width: width in pixels of the band around an edge, odd.

    Returns:
        (4, C, C + 1), int64: [region, ground truth, prediction], for :func:`dealias.metrics.segmentation_scores`.
    """
    num_classes = len(things)
    ignored = num_classes + 1
    truth = torch.cat([_full(1, ignored, target), target.classes, _full(1, ignored, target)])
    truth[1:-1][target.crowd] = ignored
    # What each pair of segments says: the predicted class, or C where that is the right one of another instance.
    labels = torch.cat([_full(1, num_classes, preds), preds.classes, _full(1, num_classes, preds)])
    says = labels.expand(len(truth), -1).clone()
    another = (truth[:, None] == labels) & ~partners(preds, target)
    is_thing = torch.cat([things, things.new_zeros(2)])
    says[another & is_thing[truth][:, None]] = num_classes
    regions = boundary_regions(preds.index, target.index, "exact", width)
    said, true = says[target.index, preds.index], truth[target.index]
    return region_histogram(said, true, regions, num_classes + 1, ignored)[:, :num_classes]


def partners(preds: Segments, target: Segments) -> Tensor:
    """Pairs of one class that are each other's largest overlap, [N + 2, M + 2], bool; of equal ones, the first."""
    areas = pair_areas(target, preds)
    overlap = areas[1:-1, 1:-1] * (target.classes[:, None] == preds.classes)
    partners = torch.zeros_like(areas, dtype=torch.bool)
    if overlap.numel() == 0:
        return partners
    of_target, of_preds = overlap.argmax(1), overlap.argmax(0)
    rows = torch.arange(len(target), device=areas.device)
    mutual = (of_preds[of_target] == rows) & (overlap[rows, of_target] > 0)
    partners[rows[mutual] + 1, of_target[mutual] + 1] = True
    return partners


def _full(count: int, value: int, like: Segments) -> Tensor:
    return like.classes.new_full((count,), value)
