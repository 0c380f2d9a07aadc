# SPDX-License-Identifier: Apache-2.0
"""What is the same for all fusions of a seed, and what a run does with its time."""

import csv
import hashlib
from types import SimpleNamespace

import pytest
import torch
import yaml

from dealias.experiments import pace
from dealias.experiments.run import paired_network, train_run
from dealias.experiments.settings import CompareSettings, plan_runs
from dealias.train import SegmentationTask, load_checkpoint
from dealias.train.schedule import ScheduleSettings, learning_rate

TINY = {
    "fusions": ("bilinear", "freqfusion"),
    "data": "scenes:12/4",
    "encoder": "resnet10t",
    "encoder_options": {"channels": [8, 8, 16, 16], "stem_width": 8},
    "model_options": {"decoder_channels": 16},
    "batch_size": 4,
    "samples": 2,
}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def settings(**changes):
    return CompareSettings(**{**TINY, "seeds": 1, "steps": 4, **changes})


@pytest.mark.parametrize("arch", ["fpn", "upernet"])
@pytest.mark.parametrize("fusions", [("bilinear", "freqfusion"), ("freqfusion", "carafe")])
def test_shared_layers_start_with_the_same_weights(arch, fusions):
    paired = settings(arch=arch, fusions=fusions)
    first, second = (paired_network(paired, variant, 5, classes=9).state_dict() for variant in paired.variants)
    shared = [key for key in first if key in second and first[key].shape == second[key].shape]
    assert len(shared) > 50 and len(shared) < len(second)
    assert all(torch.equal(first[key], second[key]) for key in shared)
    other_seed = paired_network(paired, paired.variants[0], 6, classes=9).state_dict()
    assert not any(torch.equal(first[key], other_seed[key]) for key in shared if first[key].ndim == 4)


def test_weights_are_paired_even_if_a_fusion_draws_before_other_layers(monkeypatch):
    from dealias.experiments import run as compare_run

    def draw_first(*args, fusion, **options):
        torch.rand(1 if fusion == "bilinear" else 7)
        return original(*args, fusion=fusion, **options)

    original = compare_run.create_model
    monkeypatch.setattr(compare_run, "create_model", draw_first)
    first, second = (paired_network(settings(), variant, 0, classes=9).state_dict() for variant in settings().variants)
    assert all(torch.equal(value, second[key]) for key, value in first.items())


def test_all_fusions_of_a_seed_see_the_same_batches(tmp_path, monkeypatch):
    seen = {}

    def record(task, batch, batch_idx):
        data = batch["image"].numpy().tobytes() + batch["mask"].numpy().tobytes()
        seen.setdefault(current, []).append(hashlib.sha256(data).hexdigest())
        return original(task, batch, batch_idx)

    original = SegmentationTask.training_step
    monkeypatch.setattr(SegmentationTask, "training_step", record)
    for run in plan_runs(settings(seeds=2), tmp_path, "cpu"):
        current = (run.variant.fusion, run.seed)
        train_run(run, lambda share: None)
    assert seen["bilinear", 0] == seen["freqfusion", 0] and seen["bilinear", 1] == seen["freqfusion", 1]
    assert len(seen["bilinear", 0]) == 4 and not set(seen["bilinear", 0]) & set(seen["bilinear", 1])


def test_a_run_keeps_everything(tmp_path):
    run = plan_runs(settings(), tmp_path, "cpu")[1]
    shares = []
    train_run(run, shares.append)
    assert shares == [0.25, 0.5, 0.75, 1.0]
    files = {path.relative_to(run.directory).as_posix() for path in run.directory.rglob("*") if path.is_file()}
    assert files == {
        "images_val.csv",
        "config.yaml",
        "env.json",
        "metrics.json",
        "metrics.csv",
        "checkpoints/last.ckpt",
    }
    assert yaml.safe_load((run.directory / "config.yaml").read_text())["fusion"] == "freqfusion"
    network, about = load_checkpoint(run.directory / "checkpoints" / "last.ckpt")
    assert network.config["fusion"] == "freqfusion" and about["step"] == 4 and len(about["classes"]) == 9
    assert run.is_finished()


def test_a_budget_follows_the_clock_and_ends_the_run(tmp_path, monkeypatch):
    ticks = iter(range(1000))
    monkeypatch.setattr(pace, "time", SimpleNamespace(perf_counter=lambda: next(ticks) * 0.125))
    rates, shares = [], []

    def record(task, batch, batch_idx):
        rates.append({group["name"]: group["lr"] for group in task.optimizers().param_groups})
        return original(task, batch, batch_idx)

    original = SegmentationTask.training_step
    monkeypatch.setattr(SegmentationTask, "training_step", record)
    budgeted = settings(steps=None, budget=2.0, warmup=0.25, lr=0.01, fusion_lr_factor=0.5)
    run = plan_runs(budgeted, tmp_path, "cpu")[1]
    train_run(run, shares.append)
    assert shares == [step / 16 for step in range(1, 17)]
    schedule = ScheduleSettings("cosine", warmup_steps=4)
    expected = [learning_rate(step, 16, 0.01, schedule) for step in range(16)]
    assert [rate["encoder"] for rate in rates] == pytest.approx(expected)
    assert [rate["fusion"] for rate in rates] == pytest.approx([rate / 2 for rate in expected])
    with (run.directory / "metrics.csv").open() as file:
        first, *_, last = csv.DictReader(file)
    assert first["step"] == "9" and float(first["train/lr"]) == pytest.approx(expected[9], rel=1e-5)
    assert last["step"] == "16" and last["val/mIoU"]


def test_steps_or_a_budget():
    for wrong in ({"steps": None}, {"steps": 4, "budget": 1.0}):
        with pytest.raises(ValueError, match="either steps or a budget"):
            settings(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fusions": ("bilinear", "bilinear")}, "different variants"),
        ({"seeds": 0}, "seeds must be positive, got 0"),
        ({"fusion_options": {"carafe": {}}}, "options for carafe"),
    ],
)
def test_wrong_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        settings(**wrong)
