# SPDX-License-Identifier: Apache-2.0
"""Hard-pixel metrics on panoptic maps against loops over pixels."""

import numpy as np
import pytest
import torch

from dealias.metrics import PanopticEdgeMetrics, SegmentationMetrics, boundary_regions

THINGS, STUFFS = (1, 2), (3, 4)


def a_map(ids):
    """A segment's category is its id's last digit."""
    infos = [{"id": i, "category_id": i % 10} for i in ids.unique().tolist() if i]
    return {"ids": ids, "segments_info": infos}


@pytest.fixture
def images(label_pairs):
    def make(seed):
        pairs = label_pairs((3, 27, 34), classes=8, ignore_index=0, seed=seed)
        table = torch.tensor([11, 21, 31, 12, 22, 32, 3, 4])
        preds, target = (table[labels.long()] for labels in pairs)
        target[pairs[1] == 0] = 0
        return preds, target

    return make


def partners_by_loops(pred, target):
    """Pairs of ids of one category, each the largest overlap of the other; ties go to the smaller id."""
    overlaps = {}
    for truth in sorted(set(target.flatten().tolist()) - {0}):
        for found in sorted(set(pred.flatten().tolist()) - {0}):
            if truth % 10 == found % 10:
                overlaps[truth, found] = int(((target == truth) & (pred == found)).sum())
    best = {}
    for (truth, found), area in overlaps.items():
        for key in (("truth", truth), ("found", found)):
            if area > best.get(key, (0, None))[0]:
                best[key] = (area, (truth, found))
    return {pair for pair, area in overlaps.items() if area and best["truth", pair[0]][1] == best["found", pair[1]][1]}


@pytest.mark.parametrize("seed", range(3))
def test_errors_equal_loops_over_pixels(images, seed):
    preds, target = images(seed)
    metric = PanopticEdgeMetrics(THINGS, STUFFS, width=5)
    right = np.zeros((4, 5), int)
    total = np.zeros((4, 5), int)
    for pred, truth in zip(preds, target, strict=True):
        metric.update([a_map(pred)], [a_map(truth)])
        partners = partners_by_loops(pred, truth)
        regions = boundary_regions(pred, truth, "exact", 5)
        for found, expected, region in zip(
            pred.flatten().tolist(), truth.flatten().tolist(), regions.flatten().tolist(), strict=True
        ):
            category = expected % 10
            if expected == 0:
                continue
            total[region, category] += 1
            same = found % 10 == category
            right[region, category] += same and (category in STUFFS or (expected, found) in partners)
    scores = metric.compute()
    for name, codes in (("FErr", (1, 3)), ("MErr", (2, 3)), ("DErr", (3,))):
        accuracy = right[list(codes), 1:].sum(0) / total[list(codes), 1:].sum(0)
        assert scores[name].item() == pytest.approx(1 - accuracy.mean(), rel=1e-12)
    assert scores["aAcc"].item() == pytest.approx(right.sum() / total.sum(), rel=1e-12)


def test_of_stuff_alone_they_are_those_of_the_classes(images):
    preds, target = (ids.remainder(10) for ids in images(5))
    metric = PanopticEdgeMetrics([], [1, 2, 3, 4])
    semantic = SegmentationMetrics(4)
    for pred, truth in zip(preds, target, strict=True):
        metric.update([a_map(pred)], [a_map(truth)])
        semantic.update(pred[None] - 1, torch.where(truth == 0, 255, truth - 1)[None])
    expected = semantic.compute()
    for name, value in metric.compute().items():
        torch.testing.assert_close(value, expected[name], msg=name)


def test_a_perfect_map_has_no_error_and_crowd_is_not_counted(images):
    _, target = images(4)
    metric = PanopticEdgeMetrics(THINGS, STUFFS)
    for truth in target:
        wrong, crowd = truth.clone(), a_map(truth)
        wrong[truth == 11] = 4
        for segment in crowd["segments_info"]:
            segment["iscrowd"] = int(segment["id"] == 11)
        metric.update([a_map(wrong)], [crowd])
    scores = metric.compute()
    assert scores["aAcc"] == scores["mIoU"] == 1 and scores["FErr"] == scores["MErr"] == scores["DErr"] == 0


def test_merged_and_missing_instances_are_errors():
    touching = a_map(torch.tensor([[11, 11, 11, 21, 21, 4, 4]]))
    metric = PanopticEdgeMetrics(THINGS, STUFFS, width=1)
    metric.update([a_map(torch.tensor([[11, 11, 11, 11, 11, 4, 4]]))], [touching])
    assert metric.compute()["Acc"][0].item() == pytest.approx(3 / 5), "the smaller half belongs to another instance"
    metric.reset()
    metric.update([a_map(torch.zeros(1, 7, dtype=torch.int64))], [touching])
    assert metric.compute()["aAcc"] == 0
