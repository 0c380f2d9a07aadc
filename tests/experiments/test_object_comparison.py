# SPDX-License-Identifier: Apache-2.0
"""Comparisons of networks of objects: what is the same for all runs, what is scored and told, and going on."""

import csv
import hashlib
import io
import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from rich.console import Console

from dealias.commands.compare import _OBJECTS
from dealias.data import LowLight, SeededSamples, SyntheticObjects
from dealias.experiments.compare import Execution, compare
from dealias.experiments.kinds import complete, kind_of
from dealias.experiments.object_data import open_objects
from dealias.experiments.object_kind import COLUMNS
from dealias.experiments.run import paired_network, train_run
from dealias.experiments.settings import CompareSettings, plan_runs
from dealias.experiments.small_objects import SMALL_OPTIONS
from dealias.models import list_models
from dealias.train import ObjectsTask, load_detector
from dealias.train.object_scores import ObjectMetricSettings, ObjectScores, flat_scores

IMAGES = {"min_size": 64, "max_size": 96}
PROPOSALS = {"rpn_pre_nms_top_n_train": 40, "rpn_pre_nms_top_n_test": 20, "box_score_thresh": 0.0}
BOXES = {**IMAGES, "decoder_channels": 8, "box_channels": 16, "rcnn_options": PROPOSALS}
MASKS = {**BOXES, "mask_channels": 8}
TINY = {
    "faster_rcnn": BOXES,
    "mask_rcnn": MASKS,
    "panoptic_fpn": {**MASKS, "semantic_channels": 8},
    "mask2former": {**IMAGES, "decoder_channels": 32, "queries": 5, "points": 16, "decoder_layers": 1},
}


def settings(arch="mask_rcnn", **changes):
    given = {
        "fusions": ("nearest",),
        "prefilters": ("none", "daf+freqmix"),
        "seeds": 2,
        "data": "objects:4/3",
        "low_light": True,
        "arch": arch,
        "encoder": "test_resnet",
        "model_options": TINY.get(arch, {}),
        "steps": 2,
        "batch_size": 2,
    }
    return CompareSettings(**{**given, **changes})


def run_comparison(wanted, out, resume=False):
    console = Console(file=io.StringIO(), width=80)
    compare(wanted, Execution(out, resume=resume, workers=1), console)
    return console.file.getvalue()


def read(path):
    return json.loads(path.read_text())


def weights(run):
    return load_detector(run / "checkpoints" / "last.ckpt")[0].state_dict()


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def digests(images):
    return [hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in images]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, one_thread):
    """A comparison, what it printed, and the images of every run: those it was trained and those it was scored on."""
    out = tmp_path_factory.mktemp("comparison")
    trained, scored = {}, {}
    originals = ObjectsTask.batch_loss, ObjectsTask.count

    def loss(task, batch):
        trained.setdefault(id(task), []).extend(digests(batch["image"]))
        return originals[0](task, batch)

    def count(task, stage, batch):
        scored.setdefault(id(task), []).extend(batch["image"])
        return originals[1](task, stage, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ObjectsTask, "batch_loss", loss)
        patch.setattr(ObjectsTask, "count", count)
        printed = run_comparison(settings(), out)
    return out, printed, list(trained.values()), list(scored.values())


def test_images_are_the_same_for_all_variants_and_validation_is_dark_in_one_way(finished):
    _, _, trained, scored = finished
    assert len(trained) == len(scored) == 4, "two variants with two seeds, one seed after the other"
    assert trained[0] == trained[1] and trained[2] == trained[3] and not set(trained[0]) & set(trained[2])
    scenes = SyntheticObjects(3, seed=1)
    dark = SeededSamples(scenes, LowLight(), 1)
    for images in scored:
        assert len(images) == 3
        for index, image in enumerate(images):
            expected = dark[index]["image"].float() / 255
            torch.testing.assert_close(image, expected.as_subclass(torch.Tensor), rtol=0, atol=1e-6)
            assert image.mean() < 0.5 * (scenes[index]["image"] / 255).mean()


def test_scores_are_those_of_the_stored_network(finished):
    out, *_ = finished
    run = out / "runs" / "nearest-daf-freqmix-seed1"
    network, about = load_detector(run / "checkpoints" / "last.ckpt")
    assert network.config["prefilter"] == "daf" and network.config["mixer"] == "freqmix" and about["step"] == 2
    data = kind_of(settings()).validation_data()
    scores = ObjectScores(4, 0, True, ObjectMetricSettings(boundary=True))
    with torch.no_grad():
        for batch in data.val_dataloader():
            scores.update(network(batch["image"]), batch["target"])
    expected = flat_scores(scores.compute())
    results = read(run / "metrics.json")
    assert results["task"] == "objects" and results["classes"] == ["blob", "fence", "pole", "sign"]
    assert results["scores"]["val"]["box_AP"] > 0
    for name, value in results["scores"]["val"].items():  # null is nan
        np.testing.assert_allclose(np.array(value, float), expected[name].numpy(), rtol=1e-6)
    assert read(run / "objects.json")["mask"]["AP"] == results["scores"]["val"]["mask_AP"]


def test_tables_and_page_tell_them(finished):
    out, printed, *_ = finished
    files = {"comparison.json", "comparison.md", "comparison.csv", "config.yaml", "env.json", "runs", "report.html"}
    assert {path.name for path in out.iterdir()} == files
    found = read(out / "comparison.json")
    assert tuple(found["metrics"]) == COLUMNS["mask_rcnn"] and found["aliasing"]["metrics"]
    for column in found["metrics"]:
        runs = [run for run in found["runs"] if run["variant"] == "nearest"]
        values = [run["scores"]["val"][column.replace(" ", "_")] for run in runs]
        mean = found["variants"][0]["scores"][column]["mean"]
        assert mean is None if None in values else mean == pytest.approx(sum(values) / 2)
    with (out / "comparison.csv").open() as file:
        assert [row["metric"] for row in csv.DictReader(file)] == [*COLUMNS["mask_rcnn"]] * 2
    assert "boundary AP ↑" in (out / "comparison.md").read_text()
    page = (out / "report.html").read_text()
    assert "mask AP50" in page and "nearest + daf + freqmix" in page and "low_light: true" in page
    assert "nearest + daf + freqmix, seed 1: mask AP " in printed and "on objects:4/3 in low light" in printed
    assert f"In {out}: report.html, comparison.md, .csv, .json, runs/" in printed


def test_going_on_repeats_what_is_missing_with_the_same_weights(finished, tmp_path):
    out = shutil.copytree(finished[0], tmp_path / "copy")
    missing = out / "runs" / "nearest-daf-freqmix-seed1"
    expected, before = read(missing / "metrics.json")["scores"], weights(missing)
    (missing / "metrics.json").unlink()
    assert "1 of 4 runs to do" in run_comparison(settings(), out, resume=True)
    assert read(missing / "metrics.json")["scores"] == expected
    after = weights(missing)
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    with pytest.raises(ValueError, match="low_light True instead of False"):
        run_comparison(settings(low_light=False), out, resume=True)


def test_finished_runs_from_before_low_light_are_kept(tmp_path):
    (run, *_) = plan_runs(CompareSettings(seeds=1, data="scenes:4/2"), tmp_path, "cpu")
    run.directory.mkdir(parents=True)
    (run.directory / "metrics.json").write_text("{}")
    stored = {key: value for key, value in run.config().items() if key != "low_light"}
    (run.directory / "config.yaml").write_text(yaml.safe_dump(stored))
    assert run.is_finished()


@pytest.mark.parametrize("arch", ["faster_rcnn", "panoptic_fpn", "mask2former"])
def test_every_column_is_a_score(arch, tmp_path):
    noise = 0.0 if arch == "faster_rcnn" else 20.0
    wanted = complete(settings(arch, prefilters=("none",), low_light=False, noise=noise, steps=1, seeds=1))
    (run,) = plan_runs(wanted, tmp_path, "cpu")
    train_run(run, lambda share: None)
    results = read(run.directory / "metrics.json")
    kind = kind_of(wanted)
    assert set(kind.columns.values()) <= set(results["scores"]["val"])
    assert len(results["classes"]) == (4 if arch == "faster_rcnn" else 9) and len(results["aliasing"]) == 3
    (first, *_), (clean, *_) = kind.validation_data().val_dataloader(), SyntheticObjects(1, seed=1)
    difference = 255 * first["image"][0] - clean["image"]
    assert difference.abs().max() < 1e-3 if not noise else 10 < difference.std() < 25


def test_a_time_budget_ends_the_run(tmp_path):
    wanted = complete(settings("faster_rcnn", prefilters=("none",), steps=None, budget=0.3, seeds=1))
    (run,) = plan_runs(wanted, tmp_path, "cpu")
    shares = []
    train_run(run, shares.append)
    assert shares[-1] == 1.0 and len(shares) == read(run.directory / "metrics.json")["steps"] >= 1


@pytest.mark.parametrize("arch", list(COLUMNS))
def test_networks_of_synthetic_scenes_are_small_unless_told_otherwise(arch):
    wanted = complete(settings(arch, data="objects", model_options={"min_size": 96}))
    assert wanted.model_options == {**SMALL_OPTIONS[arch], "min_size": 96}
    assert complete(settings(arch, data="coco:x", model_options={})).model_options == {}
    stuff = 2 if "PQ" in COLUMNS[arch] else 0
    plain, mixed = (paired_network(wanted, variant, 0, 3, stuff) for variant in wanted.variants)
    assert sum(parameter.numel() for parameter in plain.parameters()) < 2_000_000
    assert (plain.config["min_size"], plain.stuff_classes) == (96, stuff)
    weights_of_both = plain.state_dict(), mixed.state_dict()
    assert all(torch.equal(value, weights_of_both[1][key]) for key, value in weights_of_both[0].items())


def test_every_network_of_objects_can_be_compared():
    assert list(_OBJECTS) == list(COLUMNS) == list(SMALL_OPTIONS) == list_models("detection")


@pytest.mark.parametrize("within", ["images", "."])
def test_coco(write_dataset, tmp_path, within):
    root = write_dataset("coco", tmp_path)
    if within == "images":
        (root / "images").mkdir()
        for split in ("train2017", "val2017"):
            (root / split).rename(root / "images" / split)
    instances, panoptic = (open_objects(f"coco:{root}", panoptic) for panoptic in (False, True))
    assert (len(instances.train), len(instances.val), instances.counts) == (3, 1, (80, 0))
    assert (len(panoptic.train), len(panoptic.val), panoptic.counts) == (3, 1, (80, 53))
    assert panoptic.eval_batch_size == 1
    assert panoptic.val[0]["target"]["masks"].shape == (2, 64, 96)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop": 64}, "crop does not apply to mask_rcnn, networks of objects are trained on whole images; got 64"),
        ({"band": 3}, "band does not apply to mask_rcnn"),
        ({"modulations": ("ars",)}, "mask_rcnn has no modulation, got 'ars'"),
        ({"data": "scenes:4/2"}, r"unknown data of objects 'scenes:4/2'; known: objects\[:TRAIN/VAL\], coco:ROOT"),
        ({"data": "objects:4"}, "TRAIN/VAL, as in objects:64/16, got '4'"),
        ({"data": "coco:nowhere"}, r"nowhere/train2017: no such folder, nor nowhere/images/train2017"),
        ({"arch": "fpn", "data": "scenes:4/2"}, "low light is for networks of objects, fpn is none"),
        ({"model_options": {"dropout": 0.5}}, "mask_rcnn has no option dropout"),
    ],
)
def test_what_does_not_go_together_is_named(changes, message, tmp_path):
    wanted = settings(**{"prefilters": ("none",), "seeds": 1, **changes})
    with pytest.raises(ValueError, match=message):
        run_comparison(wanted, tmp_path)
