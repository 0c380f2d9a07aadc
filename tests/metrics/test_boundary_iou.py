# SPDX-License-Identifier: Apache-2.0
"""Boundary IoU against scipy's binary erosion, class by class."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from dealias.metrics import (
    BoundaryIoU,
    boundary_areas,
    boundary_dilation,
    boundary_overlap,
    inner_boundaries,
    label_boundary,
    mask_to_boundary,
    region_histogram,
)


def boundary_by_erosion(mask: np.ndarray, dilation: int) -> np.ndarray:
    eroded = ndimage.binary_erosion(mask, np.ones((3, 3), dtype=bool), iterations=dilation, border_value=0)
    return mask & ~eroded


@pytest.mark.parametrize("dilation", [1, 2, 5, 12])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (8, 1), (13, 22), (40, 31)])
def test_mask_to_boundary_equals_erosion(shape, dilation):
    rng = np.random.default_rng(dilation)
    mask = ndimage.uniform_filter(rng.random(shape), 7) > 0.45
    for integer in (bool, np.uint8, np.int64):
        found = mask_to_boundary(torch.from_numpy(mask.astype(integer)), dilation)
        assert np.array_equal(found.numpy(), boundary_by_erosion(mask, dilation))


def test_label_boundary_is_that_of_every_label_at_once(label_pairs):
    _, labels = label_pairs((2, 23, 30))
    found = label_boundary(labels, 2).numpy()
    for image, boundary in zip(labels.numpy(), found, strict=True):
        for label in np.unique(image):
            inside = image == label
            assert np.array_equal(inside & boundary, boundary_by_erosion(inside, 2))


@pytest.mark.parametrize(("ratio", "ignored"), [(0.02, 255), (0.1, 255), (0.1, 5), (0.1, -1), (0.1, 300)])
def test_boundary_iou_equals_erosion_class_by_class(label_pairs, ratio, ignored):
    classes = 6
    preds, target = label_pairs((3, 26, 35), classes=5, ignore_index=ignored)
    metric = BoundaryIoU(classes, ignored, dilation_ratio=ratio)
    metric.update(preds[:1], target[:1])
    metric.update(preds[1:], target[1:])
    dilation = boundary_dilation(26, 35, ratio)
    intersection, union = np.zeros(classes), np.zeros(classes)
    for pred, gt in zip(preds.numpy(), target.numpy(), strict=True):
        for label in range(classes):
            predicted = boundary_by_erosion((pred == label) & (gt != ignored), dilation)
            expected = boundary_by_erosion((gt == label) & (gt != ignored), dilation)
            intersection[label] += (predicted & expected).sum()
            union[label] += (predicted | expected).sum()
    with np.errstate(invalid="ignore"):
        expected = intersection / union
    assert np.isnan(expected).tolist() == [False] * 5 + [True]
    scores = metric.compute()
    np.testing.assert_allclose(scores["BoundaryIoU"].numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(scores["mBoundaryIoU"].item(), np.nanmean(expected), rtol=1e-12)


def test_bytes_of_more_classes_than_a_byte_holds(label_pairs):
    preds, target = label_pairs((2, 26, 35))
    expected = boundary_areas(preds, target, 5)
    for dtype in (torch.uint8, torch.int32):
        ids = preds.to(dtype), target.to(dtype)
        found = boundary_overlap(region_histogram(*ids, inner_boundaries(*ids, 5), 5))
        wide = boundary_overlap(region_histogram(*ids, inner_boundaries(*ids, 300), 300))
        for position in range(2):
            assert torch.equal(found[position], expected[position])
            assert torch.equal(wide[position][:5], boundary_areas(preds, target, 300)[position][:5])


def test_a_perfect_prediction_scores_one_beside_ignored_pixels(label_pairs):
    preds, target = label_pairs((2, 20, 20))
    metric = BoundaryIoU(5)
    metric.update(torch.where(target == 255, preds, target), target)
    assert metric.compute()["mBoundaryIoU"] == 1


def test_logits_and_empty_batches(label_pairs):
    preds, target = label_pairs((2, 10, 12))
    logits = torch.nn.functional.one_hot(preds, 5).permute(0, 3, 1, 2).float()
    for found, expected in zip(boundary_areas(logits, target, 5), boundary_areas(preds, target, 5), strict=True):
        assert torch.equal(found, expected)
    intersection, union = boundary_areas(preds[:0], target[:0], 5)
    assert intersection.tolist() == union.tolist() == [0] * 5


def test_dilation_is_a_part_of_the_diagonal_but_at_least_a_pixel():
    assert boundary_dilation(30, 40) == 1
    assert boundary_dilation(300, 400) == 10
    assert boundary_dilation(4, 4, 0.001) == 1
    with pytest.raises(ValueError, match="at least 1 pixel, found 0"):
        mask_to_boundary(torch.ones(3, 3), 0)
