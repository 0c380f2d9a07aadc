# SPDX-License-Identifier: Apache-2.0
"""Ground truth that is fed back as prediction scores one, on synthetic scenes and on images of COCO."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from dealias.data import CocoInstances, CocoPanoptic, SyntheticObjects, read_segment_ids
from dealias.metrics import CocoAP, PanopticEdgeMetrics, PanopticQuality, panoptic_map

DATA = Path(os.environ.get("DEALIAS_DATA", Path(__file__).parents[2] / "../shared/data"))
MINI, SAMPLE = DATA / "coco_mini", DATA / "coco_panoptic_sample"
IMAGES = 8


def needs(folder):
    return pytest.mark.skipif(not folder.is_dir(), reason=f"needs {folder}; DEALIAS_DATA names the folder above it")


def of_class_kinds(is_thing):
    numbered = list(enumerate(is_thing))
    return {"things": [i for i, thing in numbered if thing], "stuffs": [i for i, thing in numbered if not thing]}


def check_instances(dataset, iou_types, count):
    metrics = [CocoAP(iou_type, len(dataset.classes)) for iou_type in iou_types]
    for index in range(count):
        target = dataset[index]["target"]
        objects = target["iscrowd"] == 0  # crowds are no objects to be found
        pred = {name: target[name][objects] for name in ("boxes", "masks", "labels")}
        for metric in metrics:
            metric.update([{**pred, "scores": torch.rand(int(objects.sum()))}], [target])
    for metric in metrics:
        scores = metric.compute()
        for name in ("AP", "AP50", "AP75"):
            assert scores[name].item() == pytest.approx(1.0, rel=1e-12), f"{metric.iou_type} {name}"


def check_panoptic(dataset, count, boundary):
    kinds = of_class_kinds(dataset.is_thing)
    metrics = [PanopticQuality(**kinds), PanopticEdgeMetrics(**kinds)]
    metrics += [PanopticQuality(**kinds, boundary=True)] if boundary else []
    for index in range(count):
        target = dataset[index]["target"]
        truth = panoptic_map(target["masks"], target["labels"], target["iscrowd"], target["area"])
        objects = target["iscrowd"] == 0
        pred = panoptic_map(target["masks"][objects], target["labels"][objects])
        for metric in metrics:
            metric.update([pred], [truth])
    for metric in (metrics[0], *metrics[2:]):
        scores = metric.compute()
        for name in ("PQ", "PQ_things", "PQ_stuffs", "SQ", "RQ"):
            assert scores[name].item() == pytest.approx(1.0, rel=1e-12)
    assert metrics[1].compute()["DErr"] == metrics[1].compute()["FErr"] == 0


def test_synthetic_scenes():
    check_instances(SyntheticObjects(4, (64, 96)), ("bbox", "segm", "boundary"), 4)
    check_panoptic(SyntheticObjects(4, (64, 96), panoptic=True), 4, boundary=True)


@needs(MINI)
@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_coco_mini(split):
    annotations = MINI / "annotations"
    instances = CocoInstances(MINI / "images" / split, annotations / f"instances_{split}.json")
    panoptic = CocoPanoptic(MINI / "images" / split, annotations / f"panoptic_{split}.json")
    assert len(instances) == len(panoptic) == 100
    assert len(instances.classes) == 80 and len(panoptic.classes) == 133
    assert panoptic.classes[:80] == instances.classes, "things have the same class ids in both"
    check_instances(instances, ("bbox", "segm"), IMAGES)
    check_panoptic(panoptic, IMAGES, boundary=False)


@needs(SAMPLE)
def test_published_sample():
    folder = SAMPLE / "sample_data"
    dataset = CocoPanoptic(folder / "input_images", folder / "panoptic_examples.json")
    assert len(dataset) == 2 and sum(dataset.is_thing) == 80 and len(dataset.classes) == 133
    check_panoptic(dataset, 2, boundary=True)
    content = json.loads((folder / "panoptic_examples.json").read_text())
    for index, annotation in enumerate(content["annotations"]):
        ids = read_segment_ids(folder / "panoptic_examples" / annotation["file_name"])
        target = dataset[index]["target"]
        for info, mask, label in zip(annotation["segments_info"], target["masks"], target["labels"], strict=True):
            assert torch.equal(mask.as_subclass(torch.Tensor) != 0, ids == info["id"])
            assert int(mask.sum()) == info["area"] and dataset.category_ids[int(label)] == info["category_id"]
            left, top, width, height = info["bbox"]
            rows, columns = mask.nonzero(as_tuple=True)
            assert (int(columns.min()), int(rows.min())) == (left, top)
            assert (int(columns.max()) + 1, int(rows.max()) + 1) == (left + width, top + height)
