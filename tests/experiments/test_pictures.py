# SPDX-License-Identifier: Apache-2.0
"""Pictures of a comparison: the same images of every variant, chosen by the scores of all of them, taken once."""

import csv
import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from dealias.data import SyntheticScenes, evaluation_transform
from dealias.experiments.compare import Execution, compare
from dealias.experiments.settings import CompareSettings
from dealias.metrics import SegmentationMetrics
from dealias.report.image_scores import read_image_scores
from dealias.report.pictures import EVENLY_SPACED, load_pictures
from dealias.train import load_checkpoint

SETTINGS = CompareSettings(
    fusions=("bilinear", "nearest"),
    seeds=2,
    data="scenes:8/7",
    encoder="resnet10t",
    encoder_options={"channels": [8, 8, 16, 16], "stem_width": 8},
    model_options={"decoder_channels": 16},
    steps=3,
    batch_size=4,
    samples=2,
)


def run_comparison(out, settings=SETTINGS, resume=False):
    console = Console(file=io.StringIO(), width=80)
    compare(settings, Execution(out, resume=resume, workers=1), console)
    return console.file.getvalue()


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, one_thread):
    out = tmp_path_factory.mktemp("comparison")
    return out, run_comparison(out)


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished[0], tmp_path / "copy")


def pictures_of(out, variant):
    return load_pictures(out / "runs" / f"{variant}-seed0" / "pictures")


def test_scores_of_every_image_are_those_of_the_network(finished):
    out, _ = finished
    scenes, transform = SyntheticScenes(7, seed=1), evaluation_transform()
    for variant in ("bilinear-seed1", "nearest-seed0"):
        network, _ = load_checkpoint(out / "runs" / variant / "checkpoints" / "last.ckpt")
        scores = read_image_scores(out / "runs" / variant / "images_val.csv")
        assert list(scores) == [scenes[index]["name"] for index in range(7)]
        for index, found in enumerate(scores.values()):
            metrics, sample = SegmentationMetrics(9, width=3), transform(scenes[index])
            metrics.update(network(sample["image"][None]).detach(), sample["mask"][None])
            expected = metrics.compute()
            assert found == {metric: pytest.approx(expected[metric].item(), abs=2e-3) for metric in found}


def test_all_variants_show_the_same_images_of_the_first_seed(finished):
    out, printed = finished
    first, second = (pictures_of(out, variant) for variant in SETTINGS.fusions)
    reasons = {sample.name: sample.why for sample in first.samples}
    assert reasons == {sample.name: sample.why for sample in second.samples} and first.rule == second.rule
    assert sum(EVENLY_SPACED in why for why in reasons.values()) == 2
    scores = [read_image_scores(out / "runs" / f"{name}-seed0" / "images_val.csv") for name in SETTINGS.fusions]
    mean = {name: sum(of[name]["mIoU"] for of in scores) for name in scores[0]}
    assert "lowest mIoU" in reasons[min(mean, key=mean.get)] and "highest mIoU" in reasons[max(mean, key=mean.get)]
    scenes = SyntheticScenes(7, seed=1)
    for sample in first.samples:
        scene = scenes.scene(int(sample.name[-6:]))
        np.testing.assert_array_equal(sample.image, scene.image)
        np.testing.assert_array_equal(sample.truth, scene.labels)
    assert not (out / "runs" / "nearest-seed1" / "pictures").exists()
    assert all(f"{variant}, seed 0: {len(reasons)} pictures" in printed for variant in SETTINGS.fusions)


def test_the_gallery_keeps_to_the_evenly_spaced_ones(finished):
    out, _ = finished
    with Image.open(out / "gallery.png") as gallery:
        assert 2 * 2 * 256 < gallery.height < 3 * 2 * 256


def test_a_finished_comparison_takes_no_pictures_again(copy):
    times = {path: path.stat().st_mtime_ns for path in copy.rglob("*.png") if path.name != "gallery.png"}
    assert "pictures" not in run_comparison(copy, resume=True)
    assert len(times) > 12 and all(path.stat().st_mtime_ns == time for path, time in times.items())


def test_only_broken_or_missing_pictures_are_taken_again(copy):
    expected = pictures_of(copy, "nearest")
    file = copy / "runs" / "nearest-seed0" / "pictures" / "001_prediction.png"
    file.write_bytes(file.read_bytes()[:50])
    printed = run_comparison(copy, resume=True)
    assert "nearest, seed 0: " in printed and "bilinear, seed 0" not in printed
    for found, sample in zip(pictures_of(copy, "nearest").samples, expected.samples, strict=True):
        np.testing.assert_array_equal(found.prediction, sample.prediction)


def test_another_choice_replaces_the_pictures_of_all(copy):
    scores = copy / "runs" / "bilinear-seed0" / "images_val.csv"
    lines = list(csv.reader(scores.open()))
    lines[4][1] = "0.0"
    with scores.open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    assert run_comparison(copy, resume=True).count("pictures") == 2
    for variant in SETTINGS.fusions:
        reasons = {sample.name: sample.why for sample in pictures_of(copy, variant).samples}
        assert "lowest mIoU" in reasons[lines[4][0]]


def test_a_variant_that_is_added_shows_them_too(copy):
    run_comparison(copy, replace(SETTINGS, fusions=("bilinear", "nearest", "deconv")), resume=True)
    names = [[sample.name for sample in pictures_of(copy, name).samples] for name in ("bilinear", "nearest", "deconv")]
    assert names[0] == names[1] == names[2]
    assert "<h3" in (copy / "report.html").read_text() and "Without pictures" not in (copy / "report.html").read_text()


def test_data_of_many_classes_go_without_pictures(copy, monkeypatch):
    monkeypatch.setattr("dealias.experiments.pictures.MOST_CLASSES", 8)
    for folder in (copy / "runs").glob("*/pictures"):
        shutil.rmtree(folder)
    (copy / "gallery.png").unlink()
    run_comparison(copy, resume=True)
    assert not list(copy.rglob("*.png")) and json.loads((copy / "comparison.json").read_text())["variants"]
