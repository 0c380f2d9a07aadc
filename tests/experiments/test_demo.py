# SPDX-License-Identifier: Apache-2.0
import dataclasses
import io
import json

import numpy as np
import pytest
import torch
from rich.console import Console

from dealias import cli
from dealias.data import SyntheticScenes, evaluation_transform
from dealias.experiments.compare import Execution
from dealias.experiments.demo import FULL, QUICK, Demo, demo
from dealias.experiments.diagnostics import CHANGES, RECALLS, pole_recall
from dealias.experiments.run import paired_network


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A demo of two steps, with what it printed."""
    out, console = tmp_path_factory.mktemp("demo"), Console(file=io.StringIO(), width=80)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    settings = dataclasses.replace(FULL.settings, seeds=1, steps=2, data="scenes:8/4", batch_size=4)
    plan = Demo(settings, pole_scenes=4, shift_scenes=2)
    demo(plan, Execution(out, workers=1), console)
    torch.set_num_threads(threads)
    return plan, out, console.file.getvalue()


def test_recipe():
    full, quick = FULL.settings, QUICK.settings
    assert full.fusions == ("bilinear", "carafe", "freqfusion") and full.data == "scenes"
    assert (full.seeds, full.steps, full.batch_size, full.lr, full.band) == (3, 400, 8, 6e-3, 3)
    assert (full.fusion_lr_factor, full.weight_decay, full.warmup, full.clip) == (0.25, 0.01, 0.08, 5.0)
    network = paired_network(full, full.variants[0], 0, 9)
    assert 1.2e6 < sum(parameter.numel() for parameter in network.parameters()) < 1.4e6
    assert network.encoder.channels == (32, 64, 128, 256)
    assert quick == dataclasses.replace(full, seeds=1, steps=quick.steps, data=quick.data) and quick.steps < 100


def test_everything_is_written_and_said(finished):
    _, out, printed = finished
    for name in ("comparison", "diagnostics"):
        assert all((out / f"{name}{ending}").is_file() for ending in (".md", ".csv", ".json"))
        assert f"{name}.md, .csv, .json" in printed
    assert (out / "gallery.png").stat().st_size and (out / "folding.png").stat().st_size
    assert "Diagnosing 3 of 3 networks" in printed and f"Written to {out}:" in printed
    assert max(map(len, printed.replace(str(out), "").splitlines())) <= 80


def test_diagnostics_are_those_of_the_runs(finished):
    _, out, _ = finished
    data = json.loads((out / "diagnostics.json").read_text())
    assert data["metrics"] == [*RECALLS, *CHANGES]
    for variant in data["variants"]:
        single = json.loads((out / "runs" / f"{variant['name']}-seed0" / "diagnostics.json").read_text())
        assert {metric: score["mean"] for metric, score in variant["scores"].items()} == single
        assert all(0 < single[name] for name in CHANGES if name.startswith("logits"))
    titles = [title.strip() for title in (out / "diagnostics.md").read_text().split("|")[2:10]]
    arrows = {title[:-2]: title[-1] for title in titles}
    assert arrows == dict.fromkeys(RECALLS, "↑") | dict.fromkeys(CHANGES, "↓")


class Bright(torch.nn.Module):
    """Takes what is brighter than the mean for a pole."""

    def forward(self, images):
        logits = torch.zeros(len(images), 9, *images.shape[-2:])
        logits[:, SyntheticScenes.classes.index("pole")] = images.mean(1)
        return logits


def test_pole_recall_against_a_loop():
    network, scenes, transform, found, total = Bright(), SyntheticScenes(20, seed=1), evaluation_transform(), {}, {}
    for index in range(20):
        scene = scenes.scene(index)
        prediction = network(transform(scenes[index])["image"][None])[0].argmax(0).numpy()
        for thing in scene.objects:
            if scenes.classes[thing.label] == "pole":
                visible, width = scene.instances == thing.id, round(thing.width_px)
                total[width] = total.get(width, 0) + visible.sum()
                found[width] = found.get(width, 0) + (prediction[visible] == thing.label).sum()
    recalls = pole_recall(network, 20, "cpu")
    assert recalls == pytest.approx({width: found[width] / total[width] for width in total})
    assert set(recalls) == {1, 2, 3, 4} and 0.1 < np.mean(list(recalls.values())) < 0.9


def test_going_on_repeats_nothing(finished):
    plan, out, _ = finished
    console = Console(file=io.StringIO(), width=80)
    demo(plan, Execution(out, resume=True, workers=1), console)
    assert "0 of 3 runs to do" in console.file.getvalue()
    assert "Diagnosing 0 of 3 networks" in console.file.getvalue()


def test_quick_and_full_from_the_command_line(monkeypatch, tmp_path):
    plans = []
    monkeypatch.setattr("dealias.experiments.demo.demo", lambda plan, *rest: plans.append(plan))
    for arguments in ([], ["--quick"]):
        assert cli.main(["demo", *arguments, "--out", str(tmp_path)]) == 0
    assert plans == [FULL, QUICK]
