# SPDX-License-Identifier: Apache-2.0
"""The whole comparison: runs in worker processes, tables, gallery, going on after an interruption."""

import csv
import io
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from dealias.experiments.compare import Execution, compare
from dealias.experiments.settings import CompareSettings, plan_runs

METRICS = ["mIoU", "BIoU", "BAcc", "FErr", "MErr", "DErr"]
SETTINGS = CompareSettings(
    fusions=("bilinear", "carafe"),
    seeds=2,
    data="scenes:12/4",
    encoder="resnet10t",
    encoder_options={"channels": [8, 8, 16, 16], "stem_width": 8},
    model_options={"decoder_channels": 16},
    steps=3,
    batch_size=4,
    samples=2,
)


def silent():
    return Console(file=io.StringIO(), width=80)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, one_thread):
    """A comparison done by two worker processes, with what it printed."""
    out, console = tmp_path_factory.mktemp("comparison"), silent()
    comparison = compare(SETTINGS, Execution(out, workers=2), console)
    return out, comparison, console.file.getvalue()


def results(out, fusion, seed):
    return json.loads((out / "runs" / f"{fusion}-seed{seed}" / "metrics.json").read_text())


def test_numbers_are_those_of_the_runs(finished):
    out, comparison, _ = finished
    data = json.loads((out / "comparison.json").read_text())
    for metric in METRICS:
        scores = {f: np.array([results(out, f, s)["scores"]["val"][metric] for s in (0, 1)]) for f in SETTINGS.fusions}
        found = data["variants"][1]
        assert found["scores"][metric]["mean"] == pytest.approx(scores["carafe"].mean())
        assert found["scores"][metric]["sd"] == pytest.approx(scores["carafe"].std(ddof=1))
        paired = scores["carafe"] - scores["bilinear"]
        assert found["differences"][metric]["mean"] == pytest.approx(paired.mean())
        assert found["differences"][metric]["sd"] == pytest.approx(paired.std(ddof=1))
    assert data["variants"][1]["parameters"] - data["variants"][0]["parameters"] > 10_000
    assert data["environment"]["versions"]["torch"] and data["settings"] == SETTINGS.to_dict()
    assert [(run["variant"], run["seed"], len(run["scores"]["val"]["IoU"])) for run in data["runs"]] == [
        (fusion, seed, 9) for fusion in SETTINGS.fusions for seed in (0, 1)
    ]
    assert json.loads(json.dumps(comparison.to_dict())) == {key: data[key] for key in comparison.to_dict()}


def test_everything_is_written_and_printed(finished):
    out, _, printed = finished
    files = {path.name for path in out.iterdir()}
    assert files == {
        *("comparison.json", "comparison.md", "comparison.csv", "gallery.png", "config.yaml", "env.json", "runs"),
        "report.html",
    }
    with (out / "comparison.csv").open() as file:
        assert [row["metric"] for row in csv.DictReader(file)] == METRICS * 2
    assert "| carafe \u2212 bilinear |" in (out / "comparison.md").read_text()
    with Image.open(out / "gallery.png") as gallery:
        assert gallery.width > 3 * 256 and gallery.height > 4 * 256
    assert all(f"{fusion}, seed {seed}: mIoU" in printed for fusion in SETTINGS.fusions for seed in (0, 1))
    assert f"In {out}: report.html, comparison.md" in printed


def test_going_on_repeats_only_what_is_missing_with_the_same_numbers(finished, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(finished[0], out)
    before = (out / "comparison.md").read_text().splitlines()
    missing = out / "runs" / "carafe-seed1"
    (missing / "metrics.json").unlink()
    (missing / "left over").touch()
    others = {path: path.stat().st_mtime_ns for path in out.rglob("metrics.json")}
    expected = results(finished[0], "carafe", 1)["scores"]
    compare(SETTINGS, Execution(out, resume=True, workers=1), silent())
    assert results(out, "carafe", 1)["scores"] == expected, "a run does not depend on the process that does it"
    assert not (missing / "left over").exists()
    assert all(path.stat().st_mtime_ns == time for path, time in others.items())
    assert [line.split("|")[2:8] for line in (out / "comparison.md").read_text().splitlines()] == [
        line.split("|")[2:8] for line in before
    ]


def test_more_seeds_and_fusions_can_be_added(finished, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(finished[0], out)
    console = silent()
    more = CompareSettings(**{**vars(SETTINGS), "fusions": ("bilinear", "carafe", "nearest")})
    comparison = compare(more, Execution(out, resume=True, workers=1), console)
    assert "2 of 6 runs to do" in console.file.getvalue()
    assert [variant.name for variant in comparison.variants] == ["bilinear", "carafe", "nearest"]


def test_an_existing_comparison_is_not_overwritten_nor_mixed(finished):
    out = finished[0]
    with pytest.raises(ValueError, match="holds a comparison already"):
        compare(SETTINGS, Execution(out), silent())
    other = CompareSettings(**{**vars(SETTINGS), "lr": 0.5})
    with pytest.raises(ValueError, match=r"bilinear-seed0 holds .* lr 0\.002 instead of 0\.5$"):
        compare(other, Execution(out, resume=True), silent())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_run_is_named(workers, tmp_path):
    wrong = CompareSettings(**{**vars(SETTINGS), "band": 4})
    with pytest.raises(ValueError, match=r"(bilinear|carafe), seed 0: the width must be odd and positive, found 4"):
        compare(wrong, Execution(tmp_path, workers=workers), silent())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fusions": ("bilinear", "carafes")}, "unknown fusion 'carafes'; known: "),
        ({"encoder": "resnet"}, "unknown timm backbone 'resnet'"),
        ({"model_options": {"width": 3}}, "fpn has no option width"),
    ],
)
def test_unknown_parts_are_found_before_the_first_run(wrong, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        compare(CompareSettings(**{**vars(SETTINGS), **wrong}), Execution(tmp_path, workers=1), silent())
    assert not list(tmp_path.iterdir())


def test_a_diverging_run_is_named(tmp_path):
    wild = CompareSettings(**{**vars(SETTINGS), "fusions": ("bilinear",), "lr": 1e30, "steps": 8})
    with pytest.raises(FloatingPointError, match="bilinear, seed 0: the loss is nan"):
        compare(wild, Execution(tmp_path, workers=1), silent())
    assert not plan_runs(wild, tmp_path, "cpu")[0].is_finished()


def test_cores_are_shared_out(tmp_path, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: range(8))
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    assert Execution(tmp_path).crew(9) == (8, 1)
    assert Execution(tmp_path).crew(3) == (3, 2)
    assert Execution(tmp_path, workers=2).crew(9) == (2, 4)
    assert Execution(tmp_path, device="cuda").crew(9) == (1, 8)
    assert Execution(tmp_path).crew(0) == (1, 8)
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    assert Execution(tmp_path, workers=2).crew(9) == (2, 1)
