# SPDX-License-Identifier: Apache-2.0
"""Segmentation scores against counts made pixel by pixel."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from dealias.metrics import SegmentationMetrics, joint_histogram, segmentation_scores

CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=bool)


def band(labels: np.ndarray, edges: str, width: int) -> np.ndarray:
    if edges == "released":
        edge = ndimage.laplace(labels.astype(np.float64), mode="mirror") != 0
    else:
        low = ndimage.minimum_filter(labels, footprint=CROSS, mode="nearest")
        edge = low != ndimage.maximum_filter(labels, footprint=CROSS, mode="nearest")
    return ndimage.binary_dilation(edge, np.ones((width, width), dtype=bool))


def class_scores(pairs: list[tuple[int, int]], classes: int) -> tuple[list[float], list[float]]:
    """IoU and accuracy of each class from pairs (ground truth, prediction), one per pixel."""
    ious, accuracies = [], []
    for label in range(classes):
        hits = sum(gt == label and pred == label for gt, pred in pairs)
        union = sum(gt == label or pred == label for gt, pred in pairs)
        expected = sum(gt == label for gt, _ in pairs)
        ious.append(hits / union if union else np.nan)
        accuracies.append(hits / expected if expected else np.nan)
    return ious, accuracies


def mean(values: list[float]) -> float:
    present = [value for value in values if not np.isnan(value)]
    return sum(present) / len(present) if present else np.nan


def scores_by_pixels(preds: Tensor, target: Tensor, classes: int, ignore: int, edges: str, width: int) -> dict:
    regions = {"all": [], "either": [], "predicted": [], "expected": [], "both": []}
    for pred, gt in zip(preds.numpy(), target.numpy(), strict=True):
        near_pred, near_gt = band(pred, edges, width), band(gt, edges, width)
        for place in zip(*np.nonzero(gt != ignore), strict=True):
            pair = int(gt[place]), int(pred[place])
            inside = {
                "all": True,
                "either": near_pred[place] or near_gt[place],
                "predicted": near_pred[place],
                "expected": near_gt[place],
                "both": near_pred[place] and near_gt[place],
            }
            for name in inside:
                regions[name] += [pair] if inside[name] else []
    ious = {name: class_scores(pairs, classes)[0] for name, pairs in regions.items()}
    accuracies = {name: class_scores(pairs, classes)[1] for name, pairs in regions.items()}
    right = [gt == pred for gt, pred in regions["all"]]
    return {
        "aAcc": sum(right) / len(right) if right else np.nan,
        "mAcc": mean(accuracies["all"]),
        "mIoU": mean(ious["all"]),
        "BIoU": mean(ious["either"]),
        "BAcc": mean(accuracies["either"]),
        "FErr": 1 - mean(accuracies["predicted"]),
        "MErr": 1 - mean(accuracies["expected"]),
        "DErr": 1 - mean(accuracies["both"]),
        "IoU": ious["all"],
        "Acc": accuracies["all"],
    }


def assert_scores(found: dict[str, Tensor], expected: dict) -> None:
    assert found.keys() == expected.keys()
    for name, score in found.items():
        wanted = torch.as_tensor(expected[name], dtype=torch.float64)
        torch.testing.assert_close(score, wanted, rtol=1e-12, atol=1e-12, equal_nan=True, msg=name)


@pytest.mark.parametrize("edges", ["exact", "released"])
@pytest.mark.parametrize("width", [1, 3, 5])
@pytest.mark.parametrize("shape", [(1, 1), (1, 11), (9, 1), (8, 13), (24, 17)])
def test_scores_equal_pixel_counts(label_pairs, shape, width, edges):
    preds, target = label_pairs((3, *shape), classes=6, seed=width)
    metric = SegmentationMetrics(num_classes=6, edges=edges, width=width)
    metric.update(preds, target)
    assert_scores(metric.compute(), scores_by_pixels(preds, target, 6, 255, edges, width))


@pytest.mark.parametrize("ignore_index", [0, 2, 254, 300, -100])
def test_any_id_can_be_ignored(label_pairs, ignore_index):
    preds, target = label_pairs((2, 16, 19), ignore_index=ignore_index)
    found = segmentation_scores(joint_histogram(preds, target, 5, ignore_index, width=3))
    assert_scores(found, scores_by_pixels(preds, target, 5, ignore_index, "exact", 3))


@pytest.mark.parametrize("classes", [2, 100, 255, 256, 300])
def test_confusion_of_few_and_many_classes(classes):
    generator = torch.Generator().manual_seed(classes)
    preds, target = torch.randint(classes, (2, 2, 33, 40), generator=generator)
    expected = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(expected, (target.numpy().ravel(), preds.numpy().ravel()), 1)
    histogram = joint_histogram(preds, target, classes, ignore_index=-1, width=1)
    assert histogram.dtype == torch.int64
    assert np.array_equal(histogram.sum(0).numpy(), expected)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32, torch.uint64])
def test_every_integer_type_counts_alike(label_pairs, dtype):
    preds, target = label_pairs((2, 14, 15), ignore_index=120)
    expected = joint_histogram(preds, target, 5, 120, "released")
    assert torch.equal(joint_histogram(preds.to(dtype), target.to(dtype), 5, 120, "released"), expected)


def test_negative_ignored_ids_of_a_narrow_type(label_pairs):
    preds, target = label_pairs((2, 14, 15), ignore_index=-1)
    expected = joint_histogram(preds, target, 200, -1)
    assert torch.equal(joint_histogram(preds.to(torch.int8), target.to(torch.int8), 200, -1), expected)


def test_logits_count_as_their_largest_class(label_pairs):
    preds, target = label_pairs((2, 10, 12))
    logits = torch.nn.functional.one_hot(preds, 5).permute(0, 3, 1, 2) * 3.0 - 1.0
    expected = joint_histogram(preds, target, 5)
    for dtype in (torch.float32, torch.bfloat16):
        assert torch.equal(joint_histogram(logits.to(dtype), target, 5), expected)


def test_scores_do_not_depend_on_batches_and_the_state_does_not_grow(label_pairs):
    preds, target = label_pairs((7, 18, 13))
    whole, split = SegmentationMetrics(5, width=3), SegmentationMetrics(5, width=3)
    whole.update(preds, target)
    size = sum(state.numel() for state in split.metric_state.values())
    for start, stop in ((0, 1), (1, 5), (5, 5), (5, 7)):
        split.update(preds[start:stop], target[start:stop])
    assert torch.equal(whole.histogram, split.histogram)
    assert sum(state.numel() for state in split.metric_state.values()) == size == 4 * 5 * 5
    split.reset()
    assert not split.histogram.any()


def test_forward_scores_the_batch_and_adds_it_up(label_pairs):
    preds, target = label_pairs((4, 9, 13))
    metric = SegmentationMetrics(5, width=3)
    metric(preds[:2], target[:2])
    batch = metric(preds[2:], target[2:])
    assert_scores(batch, segmentation_scores(joint_histogram(preds[2:], target[2:], 5, width=3)))
    assert_scores(metric.compute(), segmentation_scores(joint_histogram(preds, target, 5, width=3)))


def test_nothing_but_ignored_pixels_has_no_score():
    metric = SegmentationMetrics(3)
    metric.update(torch.zeros(1, 6, 6, dtype=torch.int64), torch.full((1, 6, 6), 255))
    scores = metric.compute()
    assert all(score.isnan().all() for score in scores.values())


def test_a_class_that_is_absent_or_only_predicted():
    preds, target = torch.tensor([[[0, 1, 1, 1]]]), torch.tensor([[[0, 0, 1, 1]]])
    scores = segmentation_scores(joint_histogram(preds, target, 3, width=1))
    assert scores["IoU"].isnan().tolist() == [False, False, True]
    preds = torch.tensor([[[0, 2, 1, 1]]])
    scores = segmentation_scores(joint_histogram(preds, target, 3, width=1))
    assert scores["IoU"].tolist() == [0.5, 1.0, 0.0]
    assert scores["Acc"].isnan().tolist() == [False, False, True]


def test_a_perfect_prediction_without_edges_has_no_boundary_scores():
    labels = torch.ones(1, 5, 5, dtype=torch.int64)
    scores = segmentation_scores(joint_histogram(labels, labels, 2))
    assert scores["mIoU"] == 1
    assert scores["BIoU"].isnan()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_counts_as_the_cpu(label_pairs):
    preds, target = label_pairs((2, 40, 33))
    for edges in ("exact", "released"):
        expected = joint_histogram(preds, target, 5, edges=edges)
        assert torch.equal(joint_histogram(preds.cuda(), target.cuda(), 5, edges=edges).cpu(), expected)
