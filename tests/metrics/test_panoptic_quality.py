# SPDX-License-Identifier: Apache-2.0
"""Panoptic quality against loops over masks of segments, and against what can be counted by hand."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from dealias.metrics import PanopticQuality, boundary_dilation, panoptic_map

THINGS, STUFFS = (3, 11, 12), (2, 40)
CATEGORIES = sorted((*THINGS, *STUFFS))


def inner_boundary(mask, dilation):
    return mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=dilation)


def mask_iou(predicted, expected, void, area=None):
    intersection = (predicted & expected).sum()
    area = expected.sum() if area is None else area
    union = predicted.sum() + area - intersection - (predicted & void).sum()
    return intersection / union if union else 0.0


def pairs_by_iou(found, expected, boundary):
    """IoU above one half of segments of one category, by (true id, predicted id)."""
    ids, predicted_ids = expected["ids"].numpy(), found["ids"].numpy()
    dilation = boundary_dilation(*ids.shape, 0.1)
    matched = {}
    for truth in expected["segments_info"]:
        for pred in found["segments_info"]:
            if truth.get("iscrowd") or truth["category_id"] != pred["category_id"]:
                continue
            masks = predicted_ids == pred["id"], ids == truth["id"]
            iou = mask_iou(*masks, ids == 0, truth.get("area"))
            if boundary:
                edges = [inner_boundary(mask, dilation) for mask in masks]
                iou = min(iou, mask_iou(*edges, ids == 0))
            if iou > 0.5:
                matched[truth["id"], pred["id"]] = iou
    return matched


def loop_counts(found, expected, boundary):
    """(sum of IoU, tp, fp, fn) of each category."""
    ids, predicted_ids = expected["ids"].numpy(), found["ids"].numpy()
    counts = {category: [0.0, 0, 0, 0] for category in CATEGORIES}
    matched = pairs_by_iou(found, expected, boundary)
    categories = {segment["id"]: segment["category_id"] for segment in expected["segments_info"]}
    for (truth, _), iou in matched.items():
        counts[categories[truth]][0] += iou
        counts[categories[truth]][1] += 1
    last_crowd = {}
    for segment in expected["segments_info"]:
        if segment.get("iscrowd"):
            last_crowd[segment["category_id"]] = segment["id"]
        elif segment["id"] not in {truth for truth, _ in matched}:
            counts[segment["category_id"]][3] += 1
    for segment in found["segments_info"]:
        if segment["id"] in {pred for _, pred in matched}:
            continue
        beneath = ids[predicted_ids == segment["id"]]
        excused = (beneath == 0) | (beneath == last_crowd.get(segment["category_id"], -1))
        counts[segment["category_id"]][2] += excused.mean() <= 0.5
    return counts


@pytest.fixture
def images(label_pairs):
    """Pairs of maps with void, crowd regions (two of one class), annotated areas and unlisted ids in the truth."""

    def make(seed, shape=(31, 44)):
        preds, target = label_pairs((3, *shape), classes=12, ignore_index=0, seed=seed)
        rng = np.random.default_rng(seed)
        made = []
        for pred, truth in zip(preds * 1000, target * 70000, strict=True):
            # Most segments have the category that their id gives in both maps.
            infos = [
                [{"id": i, "category_id": CATEGORIES[(i // unit) % 5]} for i in ids.unique().tolist() if i]
                for ids, unit in ((pred, 1000), (truth, 70000))
            ]
            for segment in infos[1]:
                segment["iscrowd"] = int(rng.random() < 0.3)
                if rng.random() < 0.3:
                    segment["area"] = int((truth == segment["id"]).sum() + rng.integers(0, 30))
            made.append(({"ids": pred, "segments_info": infos[0]}, {"ids": truth, "segments_info": infos[1][:-1]}))
        return made

    return make


@pytest.mark.parametrize("boundary", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_counts_equal_loops_over_masks(images, seed, boundary):
    metric = PanopticQuality(THINGS, STUFFS, boundary=boundary, dilation_ratio=0.1)
    assert metric.category_ids == CATEGORIES
    total = np.zeros((len(CATEGORIES), 4))
    for found, expected in images(seed):
        metric.update([found], [expected])
        counts = loop_counts(found, expected, boundary)
        total += np.array([counts[category] for category in CATEGORIES], dtype=float)
    states = torch.stack([state.double() for state in (metric.iou, metric.tp, metric.fp, metric.fn)], dim=1)
    np.testing.assert_allclose(states.numpy(), total, rtol=1e-13)
    assert total[:, 1:].sum(0).min() > 0, "the images have matches, false and missed segments"


def test_scores_of_groups_and_absent_classes(images):
    metric = PanopticQuality((*THINGS, 99), STUFFS)
    for found, expected in images(1):
        metric.update([found], [expected])
    scores = metric.compute()
    iou, tp, fp, fn = (getattr(metric, name).double() for name in ("iou", "tp", "fp", "fn"))
    torch.testing.assert_close(scores["class_PQ"][:-1], (iou / (tp + fp / 2 + fn / 2))[:-1])
    torch.testing.assert_close(scores["class_PQ"], scores["class_SQ"] * scores["class_RQ"], equal_nan=True)
    assert math.isnan(scores["class_PQ"][-1]), "no segment of category 99"
    thing = torch.tensor([category in THINGS for category in CATEGORIES])
    for name in ("PQ", "SQ", "RQ"):
        values = scores[f"class_{name}"][:-1]
        assert scores[f"{name}_things"].item() == pytest.approx(values[thing].mean().item())
        assert scores[f"{name}_stuffs"].item() == pytest.approx(values[~thing].mean().item())
        assert scores[name].item() == pytest.approx(values.mean().item())


@pytest.mark.parametrize("boundary", [False, True])
def test_truth_as_prediction_scores_one_and_nothing_scores_zero(images, boundary):
    metric = PanopticQuality(THINGS, STUFFS, boundary)
    truths = [{**found} for found, _ in images(2)]
    metric.update(truths, truths)
    assert metric.compute()["PQ"] == metric.compute()["SQ_things"] == metric.compute()["RQ_stuffs"] == 1
    metric.reset()
    metric.update([{"ids": torch.zeros_like(truth["ids"]), "segments_info": []} for truth in truths], truths)
    assert metric.compute()["PQ"] == metric.compute()["SQ"] == 0
    metric.reset()
    empty = {"ids": torch.zeros(4, 4, dtype=torch.int64), "segments_info": []}
    metric.update([empty], [empty])
    assert math.isnan(metric.compute()["PQ"])


def test_an_iou_of_one_half_is_no_match():
    info = [{"id": 1, "category_id": 3}]
    target = {"ids": torch.tensor([[1, 1, 1, 1, 9, 9, 9]]), "segments_info": info}
    half, more = torch.tensor([[1, 1, 0, 0, 0, 0, 0]]), torch.tensor([[1, 1, 1, 0, 0, 0, 0]])
    for ids, matches in ((half, 0), (more, 1)):
        metric = PanopticQuality(THINGS, STUFFS)
        metric.update([{"ids": ids, "segments_info": info}], [target])
        assert metric.tp.sum() == matches


def test_map_of_masks():
    masks = torch.zeros(3, 4, 5, dtype=torch.uint8)
    masks[0, :2], masks[1, 1:3], masks[2, 1, 1] = 1, 1, 1
    found = panoptic_map(masks, torch.tensor([7, 8, 9]), torch.tensor([0, 1, 0]), torch.tensor([10.0, 11.0, 1.0]))
    assert found["ids"].tolist() == [[1] * 5, [2, 3, 2, 2, 2], [2] * 5, [0] * 5]
    assert found["segments_info"][1] == {"id": 2, "category_id": 8, "iscrowd": 1, "area": 11.0}
    covered = panoptic_map(masks[[2, 1]], torch.tensor([7, 8]))
    assert [segment["id"] for segment in covered["segments_info"]] == [2], "the pixel lies below the second mask"
    assert panoptic_map(masks[:0], torch.zeros(0, dtype=torch.int64))["segments_info"] == []


@pytest.mark.parametrize(
    ("ids", "segments", "message"),
    [
        ([[5, 7]], [{"id": 5, "category_id": 3}], r"prediction: pixels of ids \[7\] without a segment"),
        ([[5, 5]], [{"id": i, "category_id": 3} for i in (5, 8)], r"prediction: segments \[8\] without a pixel"),
        ([[5, 5]], [{"id": 5, "category_id": 1}], r"prediction: segments of categories \[1\]"),
        ([[5, 5]], [{"id": 5, "category_id": 3}] * 2, r"prediction: segment ids must be .* found \[5\]"),
        ([[5, 5]], [{"id": i, "category_id": 3} for i in (0, 5)], r"prediction: segment ids must be .* found \[0\]"),
        ([[5.0, 5.0]], [{"id": 5, "category_id": 3}], r"prediction ids must be integers"),
        ([[5, 5, 5]], [{"id": 5, "category_id": 3}], r"must have one size, found \[1, 3\] and \[1, 2\]"),
    ],
)
def test_errors_name_what_is_wrong(ids, segments, message):
    good = {"ids": torch.tensor([[5, 5]]), "segments_info": [{"id": 5, "category_id": 3}]}
    with pytest.raises(ValueError, match=message):
        PanopticQuality(THINGS, STUFFS).update([{"ids": torch.tensor(ids), "segments_info": segments}], [good])


def test_refused_options():
    with pytest.raises(ValueError, match=r"categories \[3\] are both"):
        PanopticQuality([3, 4], [3])
    with pytest.raises(ValueError, match="no category"):
        PanopticQuality([], [])
    with pytest.raises(ValueError, match="dilation_ratio must be positive"):
        PanopticQuality([1], [], dilation_ratio=0)
    with pytest.raises(ValueError, match="0 predicted and 1 true"):
        PanopticQuality([1], []).update([], [{"ids": torch.zeros(1, 1), "segments_info": []}])


def test_ids_of_any_size_and_type():
    for big in (200, 60000, 2**31 + 5, 2**40):
        dtypes = (torch.uint8, torch.int32, torch.int64) if big == 200 else (torch.int64,)
        for dtype in dtypes:
            ids = torch.tensor([[big, big, 3], [0, 3, 3]], dtype=torch.int64).to(dtype)
            found = {"ids": ids, "segments_info": [{"id": i, "category_id": c} for i, c in ((big, 3), (3, 2))]}
            metric = PanopticQuality(THINGS, STUFFS)
            metric.update([found], [found])
            assert metric.tp.sum() == 2 and metric.compute()["PQ"] == 1
