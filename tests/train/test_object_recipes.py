# SPDX-License-Identifier: Apache-2.0
"""The recipes for COCO and LIS are the published ones, and train, test and predict when they are scaled down."""

import json
from pathlib import Path

import pytest
import yaml

from dealias.cli import main
from dealias.train.schedule import ScheduleSettings, learning_rate

CONFIGS = Path(__file__).parents[2] / "configs"
QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
RCNN = {"decoder_channels": 8, "box_channels": 16, "min_size": 64, "max_size": 96}
MASKS = {"mask_channels": 8}
TRANSFORMER = {"encoder_layers": 1, "decoder_layers": 1, "decoder_channels": 32, "queries": 5, "points": 16}
SMALL = {
    "coco_faster_rcnn_r50_freqfusion": RCNN,
    "coco_mask_rcnn_r50_freqfusion": RCNN | MASKS,
    "coco_panoptic_fpn_r50_freqfusion": RCNN | MASKS | {"semantic_channels": 8, "stuff_area": 16},
    "coco_mask2former_swin_t_freqfusion": TRANSFORMER | {"heads": 4, "min_size": 64, "max_size": 96},
    "lis_mask_rcnn_r50_daf_freqmix": RCNN | MASKS,
}


def recipe(name):
    return yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())


@pytest.mark.parametrize("name", [name for name in SMALL if "mask2former" not in name])
def test_schedules_are_the_usual_ones(name):
    content = recipe(name)
    settings = ScheduleSettings(**{**content["model"]["schedule"]})
    epochs, optimizer = content["trainer"]["max_epochs"], content["model"]["optimizer"]
    assert (optimizer["lr"], optimizer["weight_decay"], content["data"]["batch_size"]) == (0.02, 1e-4, 16)
    steps = 7330 * epochs  # of COCO's images with objects
    first, second = {12: (8, 11), 24: (16, 22)}[epochs]
    for epoch, factor in ((1, 1), (first - 1e-3, 1), (first, 0.1), (second - 1e-3, 0.1), (second, 0.01)):
        found = learning_rate(round(7330 * epoch), steps, 0.02, settings)
        assert found == pytest.approx(0.02 * factor), epoch
    assert learning_rate(0, steps, 0.02, settings) == pytest.approx(2e-5)
    assert learning_rate(250, steps, 0.02, settings) == pytest.approx(0.02 * (0.001 + 0.999 / 2))


@pytest.fixture
def scaled_down(tmp_path, monkeypatch, write_dataset):
    """A recipe for a tiny network on tiny images, as a file."""
    monkeypatch.chdir(tmp_path)
    write_dataset("coco", tmp_path / "data" / "coco")
    write_dataset("lis", tmp_path / "data" / "LIS")

    def write(name):
        content = recipe(name)
        network = content["model"]["network"]
        network["init_args"] |= {"encoder_name": "test_resnet", "encoder_weights": None}
        if "mask2former" in name:
            content["data"]["train_transform"]["init_args"]["size"] = 64
        network["dict_kwargs"] |= SMALL[name]
        content["data"] |= {"batch_size": 2, "workers": 0}
        validation = {"max_steps": 1, "val_check_interval": 1, "check_val_every_n_epoch": 1, "max_epochs": 1}
        content["trainer"] |= {"accelerator": "cpu", **validation}
        Path("small.yaml").write_text(yaml.safe_dump(content))
        return "small.yaml"

    return write


@pytest.mark.parametrize("name", SMALL)
def test_recipes_train_test_and_predict_when_scaled_down(capsys, scaled_down, name):
    config, trained = scaled_down(name), ["--ckpt_path", "run/checkpoints/best.ckpt"]
    for command, folder, arguments in (("fit", "run", []), ("test", "test", trained), ("predict", "predict", trained)):
        code = main([command, "--config", config, "--run.directory", folder, *arguments, *QUIET])
        assert code == 0, capsys.readouterr().err
    scores = json.loads(Path("test/metrics.json").read_text())["scores"]["test"]
    panoptic = "panoptic" in name or "mask2former" in name
    assert ("PQ" in scores, "mask_AP" in scores) == (panoptic, "faster" not in name)
    files = {path.name for path in Path("predict").iterdir()}
    assert "coco_boxes.json" in files and ("coco_panoptic.json" in files) == panoptic
    assert ("coco_masks.json" in files) == ("faster" not in name)
    overlays = sorted(str(path.relative_to("predict/overlays")) for path in Path("predict/overlays").rglob("*.png"))
    assert overlays == (["JPEGImages/2.png", "JPEGImages/4.png"] if "lis" in name else ["0.png"])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (
            "coco_mask_rcnn_r50_freqfusion",
            ["--model.network.fusion", "nearest", "--model.network.fusion_options", "{}"],
        ),
        ("lis_mask_rcnn_r50_daf_freqmix", ["--model.network.prefilter", "none", "--model.network.mixer", "none"]),
        ("lis_mask_rcnn_r50_daf_freqmix", ["--data.train.light", "normal"]),
        ("coco_panoptic_fpn_r50_freqfusion", ["--trainer.precision", "bf16-mixed"]),
        ("coco_mask2former_swin_t_freqfusion", ["--trainer.precision", "bf16-mixed"]),
        ("coco_mask_rcnn_r50_freqfusion", ["--model.schedule.length", "24", "--model.schedule.milestones", "[16, 22]"]),
    ],
)
def test_what_the_recipes_offer_works(capsys, scaled_down, name, arguments):
    code = main(["fit", "--config", scaled_down(name), "--run.directory", "run", *arguments, *QUIET])
    assert code == 0, capsys.readouterr().err
    stored = yaml.safe_load(Path("run/config.yaml").read_text())["model"]
    if "--model.schedule.length" in arguments:
        assert stored["schedule"]["milestones"] == [16, 22]
    if "--model.network.fusion" in arguments:
        assert stored["network"]["init_args"]["fusion_options"] == {}
