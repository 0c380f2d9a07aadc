# SPDX-License-Identifier: Apache-2.0
"""What ``dealias analyze`` measures and writes."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from dealias.analysis import aliasing_map, aliasing_score, correlate
from dealias.cli import main
from dealias.data import SyntheticScenes
from dealias.experiments.data import VAL_SEED
from dealias.metrics import joint_histogram, segmentation_scores
from dealias.report.choice import evenly_spaced
from dealias.train import load_checkpoint

MEAN, STD = (torch.tensor(values)[:, None, None] for values in ((0.4, 0.5, 0.6), (0.2, 0.2, 0.2)))


def read(folder):
    return json.loads((Path(folder) / "analysis.json").read_text())


def input_of(network, layer, image):
    """What a layer gets."""
    seen = []
    handle = network.get_submodule(layer).register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with torch.no_grad():
        network(image)
    handle.remove()
    return seen[0]


def pictures(count, size=(48, 64)):
    random = np.random.default_rng(0)
    for number in range(count):
        Path("in").mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(f"in/{number}.png")


def test_scores_and_errors_of_a_checkpoint(analyze, checkpoint):
    code, out, err = analyze(
        "--checkpoint", checkpoint, "--data", "scenes:6", "--limit", 4, "--out", "out", "--band", 3
    )
    assert code == 0, err
    assert "encoder.body.maxpool" in out and "In out: report.html, analysis.json, pictures/" in out
    found, scenes = read("out"), SyntheticScenes(6, seed=VAL_SEED)
    assert found["network"] == {
        "name": "fpn with test_resnet, bilinear",
        "source": str(checkpoint),
        "weights": "trained",
    }
    assert found["data"] == {"source": "scenes:6", "images": 4, "of": 6}
    samples = [scenes[index] for index in evenly_spaced(6, 4)]
    assert [image["name"] for image in found["images"]] == [sample["name"] for sample in samples]
    network = load_checkpoint(checkpoint)[0]
    layer = found["layers"][2]
    assert (layer["name"], layer["kernel"], layer["in_channels"]) == ("encoder.body.layer2.0.conv1", 3, 32)
    for position, sample in enumerate(samples):
        image = ((sample["image"].float() / 255 - MEAN) / STD)[None].as_subclass(torch.Tensor)
        expected = aliasing_score(input_of(network, layer["name"], image), layer["nyquist"]).item()
        assert layer["image_scores"][position] == pytest.approx(expected, abs=1e-6)
        with torch.no_grad():
            scores = segmentation_scores(joint_histogram(network(image), sample["mask"][None], 9, 255, width=3))
        for metric, error in found["images"][position]["errors"].items():
            assert error == pytest.approx(scores[metric].item(), abs=1e-6)
    assert layer["score"] == pytest.approx(np.mean(layer["image_scores"]))


def test_correlations_are_those_of_scores_and_errors(analyze, checkpoint):
    assert analyze("--checkpoint", checkpoint, "--data", "scenes:5", "--out", "out", "--samples", 0)[0] == 0
    found = read("out")
    losing = {layer["name"]: layer["image_scores"] for layer in found["layers"] if layer["score"] > 5e-4}
    assert len(losing) == len(found["layers"]) - 1 and found["pictures"] == []
    losing[None] = np.mean(list(losing.values()), axis=0).tolist()
    assert len(found["correlations"]) == 3 * len(losing)
    for entry in found["correlations"]:
        errors = [image["errors"][entry["metric"]] for image in found["images"]]
        expected = correlate(losing[entry["layer"]], errors)
        assert entry["pearson"] == pytest.approx(expected.pearson) and entry["count"] == 5
    assert not Path("out/pictures").exists()


def test_maps_are_pictures_of_the_power_beyond_the_limit(analyze, checkpoint):
    arguments = ("--data", "scenes:4", "--samples", 2, "--maps", 2)
    assert analyze("--checkpoint", checkpoint, *arguments, "--out", "out")[0] == 0
    found, network = read("out"), load_checkpoint(checkpoint)[0]
    limits = {layer["name"]: layer["nyquist"] for layer in found["layers"]}
    assert [entry["name"] for entry in found["pictures"]] == [found["images"][1]["name"], found["images"][3]["name"]]
    sizes = set()
    for index, entry in zip((1, 3), found["pictures"], strict=True):
        sample = SyntheticScenes(4, seed=VAL_SEED)[index]
        pixels = np.asarray(Image.open(Path("out") / entry["image"]))
        np.testing.assert_array_equal(pixels, sample["image"].permute(1, 2, 0).numpy())
        image = ((sample["image"].float() / 255 - MEAN) / STD)[None].as_subclass(torch.Tensor)
        assert len(entry["maps"]) == 2
        for shown in entry["maps"]:
            x = input_of(network, shown["layer"], image)
            power = aliasing_map(x, limits[shown["layer"]])[0].numpy()
            levels = np.asarray(Image.open(Path("out") / shown["file"]))
            expected = 255 * np.sqrt(np.clip(power / shown["top"], 0, 1))
            np.testing.assert_allclose(levels, expected, atol=0.51)
            sizes.add(levels.shape)
    assert len(sizes) == 2, "layers on maps of different sizes"


def test_random_weights_are_the_same_every_time(analyze):
    for out in ("a", "b"):
        torch.manual_seed(hash(out) % 1000)
        state = torch.get_rng_state()
        assert analyze("--timm", "test_resnet", "--data", "scenes:2", "--out", out)[0] == 0
        assert torch.equal(torch.get_rng_state(), state)
    one, other = read("a"), read("b")
    assert one["layers"] == other["layers"] and one["network"]["weights"] == "random"
    assert one["correlations"] == [] and one["images"][0]["errors"] is None


def test_image_files_are_resized_and_normalised_as_the_network_wants_them(analyze):
    pictures(2)
    assert (
        analyze("--timm", "resnet18", "--data", "in", "--size", 40, 56, "--out", "out", "--layers", "maxpool")[0] == 0
    )
    found = read("out")
    assert [image["name"] for image in found["images"]] == ["0", "1"]
    assert found["settings"] == {"size": [40, 56], "band": None, "layers": ["maxpool"]}
    torch.random.default_generator.manual_seed(0)
    network = timm.create_model("resnet18", num_classes=0).eval()
    for number in range(2):
        with Image.open(f"in/{number}.png") as picture:
            pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
        image = torch.nn.functional.interpolate(pixels.float() / 255, size=(40, 56), mode="bilinear", antialias=True)
        known = network.pretrained_cfg
        mean, std = (torch.tensor(known[key])[:, None, None] for key in ("mean", "std"))
        expected = aliasing_score(input_of(network, "maxpool", (image - mean) / std), 0.25).item()
        assert found["layers"][0]["image_scores"][number] == pytest.approx(expected, abs=2e-3)


def test_networks_of_one_image_size_get_it(analyze):
    pictures(1)
    assert analyze("--timm", "swin_tiny_patch4_window7_224", "--data", "in", "--out", "out")[0] == 0
    found = read("out")
    assert found["settings"]["size"] == [224, 224]
    assert [layer["kind"] for layer in found["layers"]] == ["convolution"] + ["PatchMerging"] * 3


@pytest.mark.parametrize("model", ["fpn/test_resnet", '{"arch": "fpn", "encoder_name": "test_resnet"}', "model.json"])
def test_models_by_description(analyze, model):
    Path("model.json").write_text('{"arch": "fpn", "encoder_name": "test_resnet"}')
    assert analyze("--model", model, "--data", "scenes:1", "--out", "out")[0] == 0
    found = read("out")
    assert found["network"]["name"] == "fpn with test_resnet, bilinear" and len(found["layers"]) == 8
    assert found["layers"][0]["score_std"] is None


def test_the_report_can_be_written_again_from_the_files(analyze, checkpoint, capsys):
    assert analyze("--checkpoint", checkpoint, "--data", "scenes:4")[0] == 0
    (folder,) = Path("runs").glob("*-analyze")
    first = (folder / "report.html").read_text()
    assert main(["report", str(folder), "--out", "again.html"]) == 0
    assert Path("again.html").read_text() == first
