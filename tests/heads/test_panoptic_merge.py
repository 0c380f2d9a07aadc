# SPDX-License-Identifier: Apache-2.0
"""The heuristic merge against a pixel-by-pixel one, and at its thresholds."""

import pytest
import torch

from dealias.heads.panoptic_merge import MergeSettings, merge_panoptic

THINGS = 3


def merge_by_pixels(masks, labels, scores, semantic, score, overlap, stuff_area):
    height, width = semantic.shape
    pixels = [(y, x) for y in range(height) for x in range(width)]
    owner, segments = {}, []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        mine = [p for p in pixels if masks[i][p]]
        taken = [p for p in mine if p in owner]
        if scores[i] < score or not mine or len(taken) / len(mine) > overlap or len(taken) == len(mine):
            continue
        segments.append((int(labels[i]), True, len(mine) - len(taken)))
        owner |= {p: len(segments) for p in mine if p not in owner}
    for stuff in range(1, int(semantic.max()) + 1):
        mine = [p for p in pixels if semantic[p] == stuff and p not in owner]
        if mine and len(mine) >= stuff_area:
            segments.append((THINGS + stuff, False, len(mine)))
            owner |= dict.fromkeys(mine, len(segments))
    return [[owner.get((y, x), 0) for x in range(width)] for y in range(height)], segments


@pytest.mark.parametrize("seed", range(6))
def test_pixel_by_pixel(seed):
    generator = torch.Generator().manual_seed(seed)
    masks = torch.zeros(8, 12, 15, dtype=torch.bool)
    for mask in masks:
        top, left = (int(torch.randint(10, (), generator=generator)) for _ in range(2))
        mask[top : top + 6, left : left + 7] = (
            torch.rand(mask[top : top + 6, left : left + 7].shape, generator=generator) > 0.2
        )
    labels = torch.randint(1, THINGS + 1, (8,), generator=generator)
    scores = torch.rand(8, generator=generator)
    semantic = torch.randint(0, 4, (3, 5), generator=generator).repeat_interleave(4, 0).repeat_interleave(3, 1)
    found = merge_panoptic(masks, labels, scores, semantic, THINGS, MergeSettings(0.3, 0.4, 20))
    ids, segments = merge_by_pixels(masks, labels, scores, semantic, 0.3, 0.4, 20)
    assert found["ids"].tolist() == ids
    infos = found["segments_info"]
    assert [(s["category_id"], s["isthing"], s["area"]) for s in infos] == segments
    assert [s["id"] for s in infos] == list(range(1, len(infos) + 1))
    assert any(s["isthing"] for s in infos) and not all(s["isthing"] for s in infos)


def test_thresholds_of_the_paper():
    masks = torch.zeros(3, 100, 100, dtype=torch.bool)
    masks[0, :10, :10] = masks[1, :10, 5:15] = masks[2, 50:60, :10] = True
    semantic = torch.zeros(100, 100, dtype=torch.long)
    semantic[:64, 36:] = 1  # 64 * 64 = 4096 pixels
    semantic[64:, :] = 2  # 3600 pixels
    scores, labels = torch.tensor([0.9, 0.8, 0.6]), torch.tensor([1, 2, 3])
    infos = merge_panoptic(masks, labels, scores, semantic, THINGS)["segments_info"]
    # half of the second one's pixels are taken: it stays, with the other half
    assert [(s["category_id"], s["area"]) for s in infos] == [(1, 100), (2, 50), (3, 100), (4, 4096)]
    masks[1, :10, 4] = True
    infos = merge_panoptic(masks, labels, scores - 1e-3, semantic, THINGS)["segments_info"]
    assert [s["category_id"] for s in infos] == [1, 4]  # 60 of 110 pixels taken; a score below 0.6


def test_no_instances():
    semantic = torch.full((70, 70), 2)
    found = merge_panoptic(
        torch.zeros(0, 70, 70, dtype=torch.bool), torch.zeros(0, dtype=torch.long), torch.zeros(0), semantic, THINGS
    )
    assert found["segments_info"] == [{"id": 1, "category_id": 5, "isthing": False, "area": 4900}]
    assert (found["ids"] == 1).all()


def test_wrong_shapes():
    with pytest.raises(ValueError, match=r"expected masks \[N, H, W\] of bool.*got torch.float32 \(1, 4, 4\)"):
        merge_panoptic(torch.zeros(1, 4, 4), torch.ones(1), torch.ones(1), torch.zeros(4, 4), THINGS)
