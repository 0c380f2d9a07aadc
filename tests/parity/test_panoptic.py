# SPDX-License-Identifier: Apache-2.0
"""Panoptic quality equal to that of the COCO panoptic API: counts exactly, sums of IoU to the last bits."""

import zlib
from typing import Any

import numpy as np
import pytest
import torch

from dealias.metrics import PanopticMap, PanopticQuality

GROUPS = {"All": "", "Things": "_things", "Stuff": "_stuffs"}


def stored_map(image: dict[str, Any], kind: str) -> PanopticMap:
    stored = image[kind]
    index = np.frombuffer(zlib.decompress(stored["index_zlib"]), np.uint8).reshape(stored["shape"])
    ids = torch.tensor(stored["ids"])[torch.from_numpy(index.astype(np.int64))]
    return {"ids": ids, "segments_info": image[f"{kind}_segments_info"]}


def scored(record: dict[str, Any], case: dict[str, Any]) -> PanopticQuality:
    by_kind: dict[bool, list[int]] = {True: [], False: []}
    for category in record["categories"]:
        by_kind[bool(category["isthing"])].append(category["id"])
    metric = PanopticQuality(things=by_kind[True], stuffs=by_kind[False])
    for image in case["images"]:
        metric.update([stored_map(image, "pred")], [stored_map(image, "gt")])
    return metric


@pytest.mark.records("12_panoptic")
def test_counts_of_each_class(record: dict[str, Any]) -> None:
    for case in record["cases"]:
        metric = scored(record, case)
        for position, category in enumerate(metric.category_ids):
            counts = case["counts"].get(category, {"iou": 0.0, "tp": 0, "fp": 0, "fn": 0})
            for name in ("tp", "fp", "fn"):
                assert getattr(metric, name)[position] == counts[name], f"level {case['level']}, {category}: {name}"
            assert metric.iou[position].item() == pytest.approx(counts["iou"], rel=1e-14)


@pytest.mark.records("12_panoptic")
def test_qualities_of_classes_and_their_means(record: dict[str, Any]) -> None:
    for case in record["cases"]:
        metric = scored(record, case)
        scores, recorded = metric.compute(), case["results"]
        for position, category in enumerate(metric.category_ids):
            found = {name: scores[f"class_{name.upper()}"][position].item() for name in ("pq", "sq", "rq")}
            if category in recorded["per_class"]:
                assert found == pytest.approx(recorded["per_class"][category], rel=1e-14)
            else:
                assert all(np.isnan(value) for value in found.values()), f"{category} is not there"
        for group, suffix in GROUPS.items():
            expected = {name: recorded[group][name] for name in ("pq", "sq", "rq")}
            found = {name: scores[name.upper() + suffix].item() for name in expected}
            assert found == pytest.approx(expected, rel=1e-14)
