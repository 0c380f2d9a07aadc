# SPDX-License-Identifier: Apache-2.0
"""Every file of configs/ builds what it names, and a published recipe trains when it is scaled down."""

import itertools
import json
import warnings
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from dealias.cli import main
from dealias.train.lightning_cli import TrainingCLI
from dealias.train.optim import parameter_groups

CONFIGS = Path(__file__).parents[1] / "configs"
PRETRAINED = ("*_daf-freqmix.yaml", "*_ars.yaml", "folders_*.yaml", "coco_*.yaml", "lis_*.yaml")
RECIPES = sorted(path for pattern in PRETRAINED for path in CONFIGS.rglob(pattern))
QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
ON_CPU = ["--trainer.accelerator", "cpu", "--data.workers", "0", *QUIET]
UNTRAINED = ["--model.network.encoder_weights", "null"]


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch, write_dataset):
    """All data sets where the configurations expect them, below the current folder."""
    monkeypatch.chdir(tmp_path)
    for kind, mode in (("images", "RGB"), ("labels", "L")):
        for split in ("train", "val", "test"):
            (tmp_path / "data" / "camvid" / kind / split).mkdir(parents=True)
            Image.new(mode, (480, 360)).save(tmp_path / "data" / "camvid" / kind / split / "a.png")
    for split, name in itertools.product(("train", "val"), "abcdefghij"):
        (tmp_path / "data" / "images" / split / name).mkdir(parents=True)
        Image.new("RGB", (60, 50)).save(tmp_path / "data" / "images" / split / name / "1.jpg")
    write_dataset("cityscapes", tmp_path / "data" / "cityscapes")
    write_dataset("ade20k", tmp_path / "data" / "ADEChallengeData2016")
    write_dataset("voc2012", tmp_path / "data" / "VOCdevkit" / "VOC2012")
    write_dataset("coco", tmp_path / "data" / "coco")
    write_dataset("lis", tmp_path / "data" / "LIS")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def build(capsys, monkeypatch):
    """What ``dealias fit`` would train, from a configuration and further arguments."""

    def build(config, *arguments):
        built = []
        monkeypatch.setattr(TrainingCLI, "_run_subcommand", lambda cli, command: built.append(cli))
        code = main(["fit", "--config", str(config), *ON_CPU, *arguments])
        assert code == 0, capsys.readouterr().err
        return built[0]

    return build


@pytest.mark.parametrize("config", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_can_be_built(build, config):
    cli = build(config, *(UNTRAINED if config in RECIPES else []))
    assert cli.model.classes == len(cli.datamodule.describe()["classes"])
    assert len(cli.trainer.checkpoint_callbacks) == 2
    sample = cli.datamodule.train_transform(cli.datamodule.datasets["train"][0])
    assert sample["image"].dtype == torch.float32 and (cli.kind.labels or "target") in sample


@pytest.mark.parametrize(
    ("name", "crop", "batch", "steps", "warmup", "window"),
    [
        ("cityscapes", 768, 8, 80000, 200, 768),
        ("ade20k", 512, 16, 80000, 0, None),
        ("voc2012aug", 512, 16, 40000, 0, None),
    ],
)
def test_recipes_are_the_published_ones(build, name, crop, batch, steps, warmup, window):
    (config,) = CONFIGS.glob(f"{name}_*_daf-freqmix.yaml")
    cli = build(config, *UNTRAINED)
    task, data, trainer = cli.model, cli.datamodule, cli.trainer
    assert (data.batch_size, trainer.max_steps, trainer.gradient_clip_val) == (batch, steps, None)
    assert task.inference_settings.window == window and task.loss.auxiliary_weight == 0.4
    schedule = task.schedule_settings
    assert (schedule.name, schedule.power, schedule.min_lr, schedule.warmup_steps) == ("poly", 0.9, 1e-4, warmup)
    groups = parameter_groups(task.network.parameter_parts(), task.optimizer_settings)
    assert {group["weight_decay"] for group in groups} == {5e-4}
    rates = {group["name"].removesuffix(" vectors"): group["lr"] for group in groups}
    assert rates == {"encoder": 0.01, "decoder": 0.02, "auxiliary": 0.02, "mixer": 0.02}
    torch.manual_seed(0)
    sample = data.train_transform(data.datasets["train"][0])
    assert sample["image"].shape == (3, crop, crop) and sample["mask"].shape == (crop, crop)


def test_the_published_network_has_the_published_size(build):
    (config,) = CONFIGS.glob("cityscapes_*_daf-freqmix.yaml")
    counts = {
        name: sum(parameter.numel() for parameter in part.parameters())
        for name, part in build(config, *UNTRAINED).model.network.named_children()
    }
    assert counts == {"encoder": 23_910_714, "decoder": 5_264_787, "auxiliary": 2_364_691}


def test_the_baseline_is_one_line_away(build):
    (config,) = CONFIGS.glob("cityscapes_*_daf-freqmix.yaml")
    parts = build(
        config, *UNTRAINED, "--model.network.prefilter", "none", "--model.network.mixer", "none"
    ).model.network.parameter_parts()
    assert parts["mixer"] == [] and sum(parameter.numel() for parameter in parts["encoder"]) == 23_527_264


def test_modulation_has_its_loss_and_learning_rate(build):
    (config,) = CONFIGS.glob("*_ars.yaml")
    task = build(config, *UNTRAINED).model
    assert task.high_frequency_weight == 100
    groups = parameter_groups(task.network.parameter_parts(), task.optimizer_settings)
    rates = {group["name"].removesuffix(" vectors"): group["lr"] for group in groups}
    assert rates == {"encoder": 0.01, "decoder": 0.02, "auxiliary": 0.02, "modulation": 0.02}


def scaled_down(name, parts="daf-freqmix"):
    """The recipe of a data set for a tiny network on tiny images, as a file."""
    (config,) = CONFIGS.glob(f"{name}_*_{parts}.yaml")
    small = yaml.safe_load(config.read_text())
    small["model"]["network"]["init_args"] |= {"encoder_name": "test_resnet", "encoder_weights": None}
    small["model"]["network"]["dict_kwargs"] |= {"decoder_channels": 8, "auxiliary_channels": 8}
    small["model"]["inference"] = {"window": 48, "stride": 32}
    small["data"]["train_transform"]["init_args"] |= {"crop_size": 64, "base_size": [97, 65]}
    small["data"]["eval_transform"]["init_args"]["base_size"] = [97, 65]
    small["data"] |= {"batch_size": 3, "workers": 0}
    small["trainer"] |= {"accelerator": "cpu", "max_steps": 1, "val_check_interval": 1}
    Path("small.yaml").write_text(yaml.safe_dump(small))
    return "small.yaml"


@pytest.mark.parametrize(
    ("name", "parts"), [("ade20k", "daf-freqmix"), ("voc2012aug", "daf-freqmix"), ("cityscapes", "ars")]
)
def test_recipes_train_when_scaled_down(capsys, name, parts):
    code = main(["fit", "--config", scaled_down(name, parts), "--run.directory", "run", *QUIET])
    assert code == 0, capsys.readouterr().err
    assert json.loads(Path("run/metrics.json").read_text())["steps"] == 1


def test_the_cityscapes_recipe_trains_tests_and_predicts_when_scaled_down(capsys):
    config, trained = scaled_down("cityscapes"), ["--ckpt_path", "run/checkpoints/last.ckpt"]
    noisy = ["--data.eval_transform.noise", "60", "--run.directory", "noisy"]
    for arguments in (
        ["fit", "--config", config, "--run.directory", "run"],
        ["test", "--config", config, *trained, *noisy],
        ["predict", "--config", config, *trained, "--run.directory", "predicted"],
    ):
        assert main([*arguments, *QUIET]) == 0, capsys.readouterr().err
    clean, found = (json.loads(Path(run, "metrics.json").read_text())["scores"] for run in ("run", "noisy"))
    assert clean["val"]["IoU"] != found["test"]["IoU"]
    labels = Image.open("predicted/labels/lindau/lindau_0.png")
    assert labels.size == (96, 64), "that of the stored image, whatever size it was predicted at"
