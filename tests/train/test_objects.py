# SPDX-License-Identifier: Apache-2.0
"""Objects through the command line: trained, resumed, validated, tested and predicted, and what that writes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from dealias.cli import main
from dealias.data import SyntheticObjects, read_segment_ids
from dealias.metrics import PanopticQuality, panoptic_map
from dealias.models import create_detector
from dealias.train import (
    ObjectsData,
    ObjectsTask,
    OptimizerSettings,
    ScheduleSettings,
    load_checkpoint,
    load_detector,
)

CONFIG = Path(__file__).parents[2] / "configs" / "tiny" / "objects_panoptic_freqfusion.yaml"
QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
FEW = {"rpn_pre_nms_top_n_train": 40, "rpn_pre_nms_top_n_test": 20, "box_batch_size_per_image": 16}
SLIM = {"decoder_channels": 8, "box_channels": 16, "min_size": 64, "max_size": 96, "anchor_sizes": (8, 16, 32, 48, 64)}


def run(capsys, command, folder, *arguments):
    code = main([command, "--config", str(CONFIG), "--run.directory", str(folder), *map(str, arguments), *QUIET])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


def read(path):
    return json.loads(Path(path).read_text())


@pytest.fixture
def make_detector_task():
    def make(arch="mask_rcnn", seed=0, **options):
        torch.manual_seed(seed)
        masks = {} if arch == "faster_rcnn" else {"mask_channels": 8}
        network = create_detector(arch, "test_resnet", classes=4, **SLIM, **masks, rcnn_options=FEW)
        return ObjectsTask(network, **options)

    return make


def make_data(train=None, length=4, **options):
    train = SyntheticObjects(length, (64, 80)) if train is None else train
    val = SyntheticObjects(2, (64, 80), seed=1)
    return ObjectsData(train=train, val=val, test=val, predict=val, workers=0, **options)


def test_all_commands_on_a_panoptic_network(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = run(capsys, "fit", "a")
    assert "fit done, val PQ" in out and "wrote report.html, " in out
    assert "objects.json, pictures, checkpoints in a" in out
    result = read("a/metrics.json")
    assert result["task"] == "objects" and result["steps"] == 4 and result["classes"][:2] == ["blob", "fence"]
    assert {"box_AP", "mask_AP", "PQ", "class_PQ", "box_class_AP"} <= result["scores"]["val"].keys()
    with open("a/metrics.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["train/loss"]]
    terms = [name for name in rows[0] if name.startswith("train/loss_")]
    assert {"train/loss_semantic", "train/loss_mask", "train/loss_objectness"} <= set(terms) and len(terms) == 6
    for row in rows:
        assert float(row["train/loss"]) == pytest.approx(sum(float(row[name]) for name in terms), rel=1e-5)
    assert [float(row["train/lr"]) for row in rows] == pytest.approx([2e-5, 0.02, 0.002, 0.002])
    trained = ["--ckpt_path", "a/checkpoints/best.ckpt"]
    run(capsys, "validate", "v", *trained)
    assert read("v/metrics.json")["scores"]["val"]["PQ"] == pytest.approx(result["best_PQ"])
    run(capsys, "test", "t", *trained, "--model.metrics.boundary", "true")
    check_test_run(Path("t"))
    run(capsys, "predict", "p", *trained)
    check_predictions(Path("p"), read("t/metrics.json")["scores"]["test"])
    network, about = load_detector("a/checkpoints/best.ckpt")
    assert network.config["arch"] == "panoptic_fpn" and about["classes"] == result["classes"]
    with pytest.raises(ValueError, match="expected a checkpoint of the task segmentation, got one of objects"):
        load_checkpoint("a/checkpoints/best.ckpt")


def check_test_run(folder):
    written, scores = read(folder / "objects.json"), read(folder / "metrics.json")["scores"]["test"]
    names = ("split", "classes", "is_thing", "palette", "recalls", "box", "mask", "boundary", "panoptic")
    assert list(written) == [*names, "boundary_panoptic"] and written["split"] == "test"
    assert written["panoptic"]["PQ"] == scores["PQ"] and written["mask"]["AP"] == scores["mask_AP"]
    assert written["boundary"]["AP"] == scores["boundary_AP"] and len(written["panoptic"]["class_PQ"]) == 9
    index = read(folder / "pictures" / "pictures.json")
    assert index["rule"] == "3 of 3 test images, evenly spaced" and len(index["samples"]) == 3
    for sample in index["samples"]:
        pictures = [Image.open(folder / "pictures" / sample[p]) for p in ("image", "truth", "prediction", "errors")]
        assert {(picture.mode, picture.size) for picture in pictures} == {("RGB", (80, 64))}
    dataset = SyntheticObjects(3, (64, 80), seed=1, panoptic=True)
    stored = np.asarray(Image.open(folder / "pictures" / "000_image.png"))
    assert np.array_equal(stored, dataset[0]["image"].permute(1, 2, 0)), "exact, though it was scaled to 0 to 1"


def check_predictions(folder, scores):
    """COCO's own tools give the files the scores of the test."""
    dataset = SyntheticObjects(3, (64, 80), seed=1, panoptic=True)
    quality = PanopticQuality([6, 7, 8, 9], [1, 2, 3, 4, 5])
    truth = {"images": [], "annotations": [], "categories": [{"id": i} for i in dataset.category_ids]}
    panoptic = read(folder / "coco_panoptic.json")
    assert [category["name"] for category in panoptic["categories"]][:2] == ["blob", "fence"]
    for i, segments in enumerate(panoptic["annotations"]):
        target, name = dataset[i]["target"], dataset[i]["name"]
        assert segments["image_id"] == i and segments["file_name"] == f"{name}.png"
        ids = read_segment_ids(folder / "panoptic" / f"{name}.png")
        for info in segments["segments_info"]:
            assert info["area"] == (ids == info["id"]).sum()
        true = panoptic_map(target["masks"], target["labels"] + 1)
        quality.update([{"ids": ids, "segments_info": segments["segments_info"]}], [true])
        assert Image.open(folder / "overlays" / f"{name}.png").size == (80, 64)
        truth["images"].append({"id": i, "height": 64, "width": 80})
        for box, label in zip(target["boxes"].tolist(), target["labels"].tolist(), strict=True):
            if dataset.is_thing[label]:
                sides = [*box[:2], box[2] - box[0], box[3] - box[1]]
                entry = {"id": len(truth["annotations"]) + 1, "image_id": i, "category_id": label + 1, "iscrowd": 0}
                truth["annotations"].append({**entry, "bbox": sides, "area": sides[2] * sides[3]})
    assert float(quality.compute()["PQ"]) == pytest.approx(scores["PQ"])
    expected = COCO()
    expected.dataset = truth
    expected.createIndex()
    evaluation = COCOeval(expected, expected.loadRes(str(folder / "coco_boxes.json")), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(scores["box_AP"], rel=1e-6)
    masks, boxes = read(folder / "coco_masks.json"), read(folder / "coco_boxes.json")
    assert [m["score"] for m in masks] == [b["score"] for b in boxes] and masks[0]["segmentation"]["size"] == [64, 80]


@pytest.mark.parametrize("arch", ["faster_rcnn", "mask_rcnn"])
def test_instances_train_and_are_scored(arch, make_detector_task, make_trainer):
    task, data = make_detector_task(arch), make_data(batch_size=2)
    trainer = make_trainer(max_steps=2)
    trainer.fit(task, data)
    trainer.test(task, data, verbose=False)
    assert ("mask_AP" in task.scores["test"]) == (arch == "mask_rcnn") and "PQ" not in task.scores["test"]
    found = trainer.predict(task, data)
    assert len(found) == 2 and ("masks" in found[0][0]) == (arch == "mask_rcnn")


def test_a_resumed_run_equals_an_uninterrupted_one(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    constant = ["--model.schedule.name", "constant", "--run.pictures", "0"]
    run(capsys, "fit", "whole", *constant)
    run(capsys, "fit", "parts", *constant, "--trainer.max_epochs", "1")
    again = ["--ckpt_path", "parts/checkpoints/last.ckpt", *constant]
    code = main(["fit", "--config", str(CONFIG), *again, *QUIET])
    assert code == 0, capsys.readouterr().err
    found, expected = (
        torch.load(f"{name}/checkpoints/last.ckpt", weights_only=True)["state_dict"] for name in ("parts", "whole")
    )
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


class WithoutObjects(SyntheticObjects):
    """Images of which every second one has no object."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        if index % 2 == 0:
            target = sample["target"]
            kept = {name: target[name][:0] for name in ("boxes", "labels", "masks", "area", "iscrowd")}
            sample["target"] = target | kept
        return sample


def test_images_without_objects(make_detector_task, make_trainer):
    empty = WithoutObjects(2, (64, 80))
    data = ObjectsData(train=empty, val=empty, batch_size=1, workers=0)
    task = make_detector_task(optimizer=OptimizerSettings("sgd", lr=1e-3), schedule=ScheduleSettings("constant"))
    make_trainer(max_epochs=1).fit(task, data)
    assert len(task.step_seconds) == 2 and np.isfinite(task.scores["val"]["box_AP"])


def test_what_does_not_fit_is_refused(capsys, make_detector_task, make_trainer):
    from dealias.data import object_evaluation_transform

    data = make_data(eval_transform=object_evaluation_transform(96))
    with pytest.raises(ValueError, match=r"scene_1_000000: .* must not: \(96, 120\) instead of \(64, 80\)"):
        make_trainer().validate(make_detector_task(), data)
    panoptic = SyntheticObjects(2, (64, 80), panoptic=True)
    with pytest.raises(ValueError, match="the network has 4 classes, the data has 9"):
        make_trainer(max_steps=1).fit(make_detector_task(), ObjectsData(train=panoptic, workers=0))
    with pytest.raises(ValueError, match="the data sets must have the same"):
        ObjectsData(train=panoptic, val=SyntheticObjects(2))
    assert main(["test", "--config", str(CONFIG), "--ckpt_path", "last", "--attack", "fgsm"]) == 2
    assert "attack" in capsys.readouterr().err
