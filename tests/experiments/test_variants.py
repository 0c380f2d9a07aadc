# SPDX-License-Identifier: Apache-2.0
"""Comparing prefilters, mixers and modulations: which variants there are, how they are paired, what is told of them."""

import io
import json

import pytest
import torch
import yaml
from rich.console import Console

from dealias.backbones import TimmEncoder
from dealias.data import SyntheticScenes
from dealias.experiments.compare import Execution, compare
from dealias.experiments.run import paired_network
from dealias.experiments.settings import CompareSettings, plan_runs
from dealias.experiments.stage_aliasing import SCORES, stage_aliasing
from dealias.experiments.variants import Variant, cross
from dealias.models import create_model
from dealias.train import load_checkpoint

SETTINGS = CompareSettings(
    fusions=("bilinear",),
    prefilters=("none", "blur", "daf+freqmix"),
    prefilter_options={"blur": {"taps": 5}},
    seeds=1,
    data="scenes:4/2",
    encoder="resnet10t",
    encoder_options={"channels": [8, 8, 16, 16], "stem_width": 8},
    model_options={"decoder_channels": 16},
    steps=2,
    batch_size=2,
    samples=1,
)


def test_every_part_is_combined_with_every_other():
    names = [variant.name for variant in cross(["nearest", "carafe"], ["none", "daf"], ["none", "freqmix"])]
    assert names == [
        *("nearest", "nearest + freqmix", "nearest + daf", "nearest + daf + freqmix"),
        *("carafe", "carafe + freqmix", "carafe + daf", "carafe + daf + freqmix"),
    ]
    assert cross(["carafe"], ["none", "daf+freqmix"], ["none"])[1] == Variant("carafe", "daf", "freqmix")


def test_modulations_with_and_without_their_loss():
    modulations = ["none", "ars", "ars+loss"]
    names = [variant.name for variant in cross(["bilinear"], ["none", "daf+freqmix"], ["none"], modulations)]
    mixed = "bilinear + daf + freqmix"
    assert names == [
        *("bilinear", "bilinear + ars", "bilinear + ars + loss"),
        *(mixed, f"{mixed} + ars", f"{mixed} + ars + loss"),
    ]
    for wrong in ("ars+freqmix", "none+loss", "ars+"):
        with pytest.raises(ValueError, match=r"'ars\+loss', got '" + wrong.replace("+", r"\+")):
            cross(["bilinear"], ["none"], ["none"], [wrong])


@pytest.mark.parametrize(
    "axes",
    [
        ((), ("none",), ("none",)),
        (("carafe", "carafe"), ("none",), ("none",)),
        (("carafe",), ("daf", "daf"), ("none",)),
    ],
)
def test_variants_must_differ(axes):
    with pytest.raises(ValueError, match="one or more different variants"):
        cross(*axes)


def test_options_reach_their_part_only():
    networks = {variant.prefilter: paired_network(SETTINGS, variant, 0, 9) for variant in SETTINGS.variants}
    assert networks["blur"].config["prefilter_options"] == {"taps": 5}
    assert networks["daf"].config["prefilter_options"] == networks["none"].config["prefilter_options"] == {}
    with pytest.raises(ValueError, match="options for flc, which is not among blur, daf, none"):
        CompareSettings(**{**vars(SETTINGS), "prefilter_options": {"flc": {}}})


def test_variants_share_their_initial_weights_and_have_folders_of_their_own(tmp_path):
    plain, blurred, mixed = (paired_network(SETTINGS, variant, 3, 9).state_dict() for variant in SETTINGS.variants)
    assert plain.keys() == blurred.keys() < mixed.keys()
    assert all(torch.equal(value, blurred[key]) and torch.equal(value, mixed[key]) for key, value in plain.items())
    folders = [run.directory.name for run in plan_runs(SETTINGS, tmp_path, "cpu")]
    assert folders == ["bilinear-seed0", "bilinear-blur-seed0", "bilinear-daf-freqmix-seed0"]


def test_a_comparison_tells_the_aliasing_of_every_stage(tmp_path):
    console = Console(file=io.StringIO(), width=80)
    compare(SETTINGS, Execution(tmp_path, workers=1), console)
    found = json.loads((tmp_path / "comparison.json").read_text())["aliasing"]
    assert tuple(found["metrics"]) == tuple(found["lower_is_better"]) == SCORES
    plain, blurred, mixed = (variant["scores"] for variant in found["variants"])
    for score in SCORES:
        assert mixed[score]["mean"] < 1e-6 < blurred[score]["mean"] < plain[score]["mean"] < 1
        stored = json.loads((tmp_path / "runs" / "bilinear-blur-seed0" / "metrics.json").read_text())["aliasing"]
        assert stored[score] == blurred[score]["mean"]
    assert "aliasing 8 ↓" in (tmp_path / "comparison.md").read_text()
    assert "aliasing at the inputs of the stages" in console.file.getvalue()
    assert "Aliasing at the inputs of the encoder" in (tmp_path / "report.html").read_text()


def test_a_comparison_of_modulations(tmp_path):
    options = {"prefilters": ("none",), "prefilter_options": {}, "modulations": ("none", "ars", "ars+loss")}
    modulation_options = {"ars": {"sigma": 2.0}}
    settings = CompareSettings(**{**vars(SETTINGS), **options, "modulation_options": modulation_options})
    compare(settings, Execution(tmp_path, workers=1), Console(file=io.StringIO(), width=80))
    names = ["bilinear", "bilinear + ars", "bilinear + ars + loss"]
    assert [variant["name"] for variant in json.loads((tmp_path / "comparison.json").read_text())["variants"]] == names
    runs = [run.directory for run in plan_runs(settings, tmp_path, "cpu")]
    assert [run.name for run in runs] == ["bilinear-seed0", "bilinear-ars-seed0", "bilinear-ars-loss-seed0"]
    configs = [yaml.safe_load((run / "config.yaml").read_text()) for run in runs]
    assert [config["high_frequency_weight"] for config in configs] == [0, 0, 100]
    assert [config["modulation_options"] for config in configs] == [{}, {"sigma": 2.0}, {"sigma": 2.0}]
    report = (tmp_path / "report.html").read_text()
    assert "resampled" in report and all(name in report for name in names)
    network, _ = load_checkpoint(runs[1] / "checkpoints" / "last.ckpt")
    assert network.config["modulation"] == "ars" and network.config["modulation_options"] == {"sigma": 2.0}


def test_finished_runs_from_before_modulations_are_kept(tmp_path):
    run = plan_runs(SETTINGS, tmp_path, "cpu")[0]
    later = ("modulation", "supervision", "modulation_options", "high_frequency_weight")
    run.directory.mkdir(parents=True)
    (run.directory / "metrics.json").write_text("{}")
    stored = {key: value for key, value in run.config().items() if key not in later}
    (run.directory / "config.yaml").write_text(yaml.safe_dump(stored))
    assert run.is_finished()
    (run.directory / "config.yaml").write_text(yaml.safe_dump({**stored, "modulation": "ars"}))
    with pytest.raises(ValueError, match="modulation 'ars' instead of 'none'"):
        run.is_finished()


def test_dilated_stages_have_no_aliasing_score():
    network = create_model("fcn", "resnet10t", classes=9, decoder_channels=16, output_stride=16).eval()
    assert list(stage_aliasing(network, SyntheticScenes(2), "cpu")) == list(SCORES[:2])


def test_aliasing_of_a_backbone_without_known_stages_is_not_told(monkeypatch):
    def unknown(encoder):
        raise ValueError("the stages of this backbone are not known")

    monkeypatch.setattr(TimmEncoder, "stages", unknown)
    network = create_model("fpn", "resnet10t", classes=9, decoder_channels=16).eval()
    assert stage_aliasing(network, SyntheticScenes(2), "cpu") == {}
