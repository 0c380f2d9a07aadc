# SPDX-License-Identifier: Apache-2.0
"""Queries to instances, semantic and panoptic maps, against loops over pixels and queries."""

import pytest
import torch
from torchvision.ops import masks_to_boxes

from dealias.models.mask2former_outputs import OutputSettings, instances, panoptic_map, segment, semantic_map

THINGS, STUFF, QUERIES = 2, 2, 6


@pytest.fixture(params=[(9, 11), (150, 13)])
def predictions(request):
    """Probabilities of classes and masks; the last query is nowhere."""
    torch.manual_seed(request.param[0])
    classes = (3 * torch.randn(QUERIES, THINGS + STUFF + 1)).softmax(-1)
    masks = (2 * torch.randn(QUERIES, *request.param)).sigmoid()
    masks[-1] *= 0.4
    return classes, masks


def test_instances_are_the_best_pairs(predictions):
    classes, masks = predictions
    pairs = []
    for query in range(QUERIES):
        inside = masks[query] >= 0.5
        for thing in range(THINGS):
            pairs.append((classes[query, thing].item(), query, thing + 1, inside))
    pairs = sorted(pairs, key=lambda pair: -pair[0])[:5]
    expected = [(c * masks[q][m].mean().item(), q, label, m) for c, q, label, m in pairs if m.any()]
    expected.sort(key=lambda pair: -pair[0])
    found = instances(classes, masks, THINGS, 5)
    assert found["labels"].tolist() == [label for _, _, label, _ in expected]
    torch.testing.assert_close(found["scores"], torch.tensor([score for score, *_ in expected]))
    assert torch.equal(found["masks"][:, 0], masks[[query for _, query, _, _ in expected]])
    shapes = torch.stack([inside for *_, inside in expected])
    assert torch.equal(found["boxes"], masks_to_boxes(shapes) + torch.tensor([0, 0, 1, 1]))


def test_boxes_of_small_masks():
    masks = torch.zeros(3, 5, 7)
    masks[0, 2, 3] = masks[1, 4, 6] = masks[1, 0, 0] = 1
    classes = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    found = instances(classes, masks, 1, 10)
    assert found["boxes"].tolist() == [[3, 2, 4, 3], [0, 0, 7, 5]]  # nothing of the third


def test_semantic_map_is_the_best_sum_over_queries(predictions):
    classes, masks = predictions
    found = semantic_map(classes, masks)
    assert found.dtype == torch.int64
    for y in range(0, masks.shape[1], 7):
        for x in range(masks.shape[2]):
            sums = [sum(classes[q, k] * masks[q, y, x] for q in range(QUERIES)) for k in range(THINGS + STUFF)]
            assert found[y, x] == 1 + max(range(THINGS + STUFF), key=lambda k: sums[k])


def loop_panoptic(classes, masks, settings):
    """Pixel by pixel, after the description in section 3 of arXiv 2107.06278, which arXiv 2112.01527 follows."""
    kept = []
    for query in range(len(classes)):
        label = int(classes[query].argmax())
        if label < THINGS + STUFF and classes[query, label] > settings.object_threshold:
            kept.append((query, label, classes[query, label].item()))
    height, width = masks.shape[1:]
    owner = torch.full((height, width), -1)
    for y in range(height):
        for x in range(width):
            products = [score * masks[query, y, x].item() for query, _, score in kept]
            owner[y, x] = kept[products.index(max(products))][0] if kept else -1
    categories = torch.zeros(height, width, dtype=torch.long)
    numbers, stuff, count = torch.zeros(height, width, dtype=torch.int32), {}, 0
    for query, label, _ in kept:
        original, won = masks[query] >= 0.5, owner == query
        if not (original & won).any() or won.sum() / original.sum() < settings.overlap_threshold:
            continue
        if label not in stuff:
            count += 1
        number = stuff.get(label, count)
        if label >= THINGS:
            stuff[label] = number
        numbers[original & won], categories[original & won] = number, label + 1
    return numbers, categories


@pytest.mark.parametrize("settings", [OutputSettings(0.1, 0.3), OutputSettings(0.5, 0.0), OutputSettings(0.0, 0.45)])
def test_panoptic_map_is_the_loop(predictions, settings):
    classes, masks = predictions
    numbers, categories = loop_panoptic(classes, masks, settings)
    found = panoptic_map(classes, masks, THINGS, settings)
    assert torch.equal(found["ids"], numbers)
    check_segments(found, categories)
    assert numbers.max() >= 2


def check_segments(found, categories):
    assert [segment["id"] for segment in found["segments_info"]] == list(range(1, int(found["ids"].max()) + 1))
    for info in found["segments_info"]:
        pixels = found["ids"] == info["id"]
        assert info["area"] == pixels.sum()
        assert categories[pixels].unique().tolist() == [info["category_id"]]
        assert info["isthing"] == (info["category_id"] <= THINGS) == ("score" in info)


def test_stuff_of_one_category_is_one_segment_and_things_are_not():
    masks = torch.zeros(4, 2, 8)
    for query in range(4):
        masks[query, :, 2 * query : 2 * query + 2] = 1
    for label, segments in ((THINGS, 1), (0, 4)):
        classes = torch.zeros(4, THINGS + STUFF + 1)
        classes[:, label] = 0.9
        found = panoptic_map(classes, masks, THINGS, OutputSettings())
        assert [info["area"] for info in found["segments_info"]] == [16 // segments] * segments
        assert found["ids"].unique().tolist() == list(range(1, segments + 1))


def test_a_query_that_lost_most_of_its_mask_leaves_void():
    masks = torch.zeros(2, 1, 10)
    masks[0], masks[1, :, :9] = 0.8, 0.95
    classes = torch.zeros(2, THINGS + STUFF + 1)
    classes[:, 0] = 0.9
    found = panoptic_map(classes, masks, THINGS, OutputSettings())
    assert found["ids"].tolist() == [[1] * 9 + [0]]
    kept = panoptic_map(classes, masks, THINGS, OutputSettings(overlap_threshold=0.1))
    assert kept["ids"].tolist() == [[2] * 9 + [1]]


def test_no_object_gives_an_empty_map():
    classes = torch.zeros(QUERIES, THINGS + STUFF + 1)
    classes[:, -1] = 20.0
    found = segment(classes, torch.randn(QUERIES, 5, 6), THINGS, OutputSettings())
    assert found["panoptic"]["segments_info"] == [] and found["panoptic"]["ids"].sum() == 0
    assert found["panoptic"]["ids"].shape == found["semantic"].shape == (5, 6)
