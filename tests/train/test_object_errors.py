# SPDX-License-Identifier: Apache-2.0
"""What is wrong with each pixel of predicted objects, against a loop over the pixels."""

import pytest
import torch

from dealias.report.object_errors import CLASS, FALSE, INSTANCE, MISSED
from dealias.train.object_errors import object_error_kinds

THINGS, STUFF = 2, 2


def random_map(seed, categories, crowd=False):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 7, (6, 8), generator=generator).repeat_interleave(2, 0)
    segments = [{"id": number, "category_id": 1 + number % categories} for number in ids.unique().tolist() if number]
    if crowd:
        segments[0]["iscrowd"] = 1
    return {"ids": ids, "segments_info": segments}


def expected_kind(y, x, predicted, truth, stuff, partners):
    of_pixel = []
    for found in (predicted, truth):
        number = int(found["ids"][y, x])
        info = next((info for info in found["segments_info"] if info["id"] == number), {"category_id": 0})
        of_pixel.append((number, info["category_id"], info.get("iscrowd", 0)))
    (said_id, said, _), (true_id, true, crowd) = of_pixel
    if crowd or (stuff and true == 0):
        return 0
    if 0 < true <= THINGS and not 0 < said <= THINGS:
        return MISSED
    if 0 < said <= THINGS and not 0 < true <= THINGS:
        return FALSE
    if said != true:
        return CLASS
    return INSTANCE if 0 < true <= THINGS and partners.get(true_id) != said_id else 0


def mutual_partners(predicted, truth):
    """By id of a true segment, the predicted one of its class that is its largest overlap, and it in turn is that's."""
    overlaps = {}
    for true in truth["segments_info"]:
        for said in predicted["segments_info"]:
            same = true["category_id"] == said["category_id"]
            pixels = ((truth["ids"] == true["id"]) & (predicted["ids"] == said["id"])).sum().item()
            overlaps[true["id"], said["id"]] = pixels if same else 0
    found = {}
    for true in truth["segments_info"]:
        said = max(predicted["segments_info"], key=lambda info: overlaps[true["id"], info["id"]])["id"]
        back = max(truth["segments_info"], key=lambda info: overlaps[info["id"], said])["id"]
        if back == true["id"] and overlaps[true["id"], said]:
            found[true["id"]] = said
    return found


@pytest.mark.parametrize("stuff", [STUFF, 0])
def test_kinds_by_a_loop_over_the_pixels(stuff):
    seen = set()
    for seed in range(6):
        predicted, truth = random_map(seed, THINGS + stuff), random_map(10 + seed, THINGS + stuff, crowd=True)
        kinds = object_error_kinds(predicted, truth, THINGS, stuff)
        partners = mutual_partners(predicted, truth)
        expected = [
            [expected_kind(y, x, predicted, truth, stuff, partners) for x in range(kinds.shape[1])]
            for y in range(kinds.shape[0])
        ]
        assert kinds.dtype == torch.uint8 and kinds.tolist() == expected
        seen |= {*kinds.unique().tolist()}
    assert seen == {0, MISSED, FALSE, CLASS, INSTANCE}


def test_what_is_right_has_no_errors():
    truth = random_map(3, THINGS + STUFF)
    assert object_error_kinds(truth, truth, THINGS, STUFF).max() == 0
    nothing = {"ids": torch.zeros(12, 8, dtype=torch.int32), "segments_info": []}
    things = {"ids": nothing["ids"] + 1, "segments_info": [{"id": 1, "category_id": 2}]}
    assert (object_error_kinds(nothing, things, THINGS, 0) == MISSED).all()
    assert (object_error_kinds(things, nothing, THINGS, 0) == FALSE).all()
    assert (object_error_kinds(things, nothing, THINGS, STUFF) == 0).all(), "void is not counted"
