# SPDX-License-Identifier: Apache-2.0
"""What ``dealias analyze --similarity`` measures and writes, and what it refuses."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from dealias.analysis import direction_colours, feature_maps, feature_similarity
from dealias.cli import main
from dealias.data import SyntheticScenes, evaluation_transform
from dealias.experiments.data import VAL_SEED
from dealias.report.choice import evenly_spaced
from dealias.train import load_checkpoint

TRANSFORM = evaluation_transform((0.4, 0.5, 0.6), (0.2, 0.2, 0.2))
FUSIONS = [f"decoder.neck.path.fusions.{level}" for level in (2, 1, 0)]
MAPS = [(layer, name) for layer in FUSIONS for name in ("coarse", "fine", "sum")]


def read(folder):
    return json.loads((Path(folder) / "similarity.json").read_text())


def prepared(sample):
    return TRANSFORM(sample)["image"].as_subclass(Tensor)[None]


def assert_close(found, expected):
    """Numbers of JSON, whose null is nan."""
    assert set(found) == set(expected)
    for key, value in expected.items():
        if key == "classes":
            for of, other in zip(found[key], value, strict=True):
                assert_close(of, other)
        else:
            numbers = np.array([np.nan if each is None else each for each in np.atleast_1d(found[key])], float)
            np.testing.assert_allclose(numbers, np.atleast_1d(value), atol=1e-6, err_msg=key)


@pytest.fixture(scope="module")
def scenes():
    return SyntheticScenes(5, seed=VAL_SEED)


def test_numbers_are_those_of_the_features(analyze, checkpoint, scenes):
    code, out, err = analyze("--checkpoint", checkpoint, "--data", "scenes:5", "--limit", 3, "--out", "out")
    assert code == 0, err
    assert "fusions.0" in out and "In out: report.html, similarity.json, pictures/" in out
    found = read("out")
    assert found["network"] == {
        "name": "fpn with test_resnet, freqfusion",
        "source": str(checkpoint),
        "weights": "trained",
    }
    assert found["data"]["images"] == 3 and found["data"]["classes"] == list(SyntheticScenes.classes)
    settings = {"size": None, "grid": None, "band": 5, "reach": 8, "layers": None}
    assert found["settings"] == settings and found["unused"] == []
    assert [(entry["layer"], entry["map"]) for entry in found["maps"]] == MAPS
    samples = [scenes[index] for index in evenly_spaced(5, 3)]
    network, labels = load_checkpoint(checkpoint)[0], torch.stack([of["mask"].as_subclass(Tensor) for of in samples])
    maps = [feature_maps(network, prepared(sample), FUSIONS) for sample in samples]
    for entry in found["maps"]:
        pairs = [of_image[entry["layer"]][entry["map"]] for of_image in maps]
        before, after = (torch.cat([getattr(pair, side) for pair in pairs]) for side in ("before", "after"))
        assert (entry["channels"], entry["size"]) == (8, list(after.shape[-2:]))
        assert_close(entry["before"], feature_similarity(before, labels).to_dict())
        assert_close(entry["after"], feature_similarity(after, labels).to_dict())


def test_pictures_show_the_features(analyze, checkpoint, scenes):
    arguments = ("--data", "scenes:5", "--samples", 2, "--maps", 2)
    assert analyze("--checkpoint", checkpoint, *arguments, "--out", "out")[0] == 0
    found, network = read("out"), load_checkpoint(checkpoint)[0]
    for index, entry in zip(evenly_spaced(5, 2), found["pictures"], strict=True):
        sample = scenes[index]
        assert entry["name"] == sample["name"]
        pixels = np.asarray(Image.open(Path("out") / entry["image"]))
        np.testing.assert_array_equal(pixels, sample["image"].permute(1, 2, 0).numpy())
        np.testing.assert_array_equal(np.asarray(Image.open(Path("out") / entry["labels"])), sample["mask"].numpy())
        assert [(of["layer"], of["map"]) for of in entry["maps"]] == MAPS[3:], "the two with the finest maps"
        maps = feature_maps(network, prepared(sample), FUSIONS)
        for of in entry["maps"]:
            pair = maps[of["layer"]][of["map"]]
            sides = [pair.before[0], pair.after[0]]
            for name, colours in zip(("before", "after"), direction_colours(sides), strict=True):
                shown = np.asarray(Image.open(Path("out") / of[name])).astype(int)
                assert np.abs(shown - colours.numpy()).max() <= 1
            vectors = np.load(Path("out") / of["vectors"]).astype(float)
            assert vectors.shape == (2, 8, *pair.after.shape[-2:]) and of["kept"] == pytest.approx(1)
            unit = torch.nn.functional.normalize(torch.stack(sides).flatten(2), dim=1).numpy()
            small = vectors.reshape(2, 8, -1)
            small /= np.linalg.norm(small, axis=1, keepdims=True).clip(1e-9)
            cosines = [np.einsum("scn,sc->sn", x, x[..., 7]) for x in (small, unit)]
            np.testing.assert_allclose(*cosines, atol=0.05)


def test_large_maps_are_reduced(analyze, checkpoint):
    random = np.random.default_rng(0)
    for folder in ("images", "labels"):
        Path(folder).mkdir()
    blocks = random.integers(0, 2, (6, 10)).repeat(64, 0).repeat(64, 1).astype(np.uint8)
    Image.fromarray(random.integers(0, 256, (384, 640, 3), dtype=np.uint8)).save("images/a.png")
    Image.fromarray(blocks).save("labels/a.png")
    Path("data.yaml").write_text(
        "train: {images: images, labels: labels}\nval: {images: images, labels: labels}\nclasses: [sky, road]\n"
    )
    arguments = ("--checkpoint", checkpoint, "--data", "folders:data.yaml", "--grid", 96, 160, "--out", "out")
    assert analyze(*arguments)[0] == 0
    found = read("out")
    assert found["settings"]["grid"] == [96, 160] and found["data"]["classes"] == ["sky", "road"]
    assert [of["label"] for of in found["maps"][-1]["after"]["classes"]] == [0, 1]
    vectors = np.load(Path("out") / found["pictures"][0]["maps"][-1]["vectors"])
    assert found["maps"][-1]["size"] == [96, 160] and vectors.shape[2:] == (38, 64)


def test_layers_of_a_network_without_fusions(analyze):
    arguments = ("--timm", "test_resnet", "--data", "scenes:2", "--layers", "layer2", "layer1", "--out", "out")
    assert analyze(*arguments)[0] == 0
    found = read("out")
    assert [(entry["layer"], entry["map"], entry["before"]) for entry in found["maps"]] == [
        ("layer1", "output", None),
        ("layer2", "output", None),
    ]
    assert found["pictures"][0]["maps"][0]["before"] is None and found["settings"]["layers"] == ["layer2", "layer1"]


def test_the_report_can_be_written_again_from_the_files(analyze, checkpoint):
    assert analyze("--checkpoint", checkpoint, "--data", "scenes:2", "--samples", 1)[0] == 0
    (folder,) = Path("runs").glob("*-analyze")
    assert main(["report", str(folder), "--out", "again.html"]) == 0
    assert Path("again.html").read_text() == (folder / "report.html").read_text()


TIMM = ("--timm", "test_resnet")

REFUSED = {
    "no labels": ([*TIMM, "--layers", "layer1", "--data", "in"], "needs labels, and in are images without"),
    "no fusions": ([*TIMM, "--data", "scenes:1"], r"has no fusions; name layers .* among them conv1, .*layer1"),
    "no module": ([*TIMM, "--data", "scenes:1", "--layers", "layr1"], "no module 'layr1'; among its modules: layer1"),
    "no map": ([*TIMM, "--data", "scenes:1", "--layers", "global_pool"], r"global_pool gives a tensor \(1, \d+\)"),
    "thin": ([*TIMM, "--data", "scenes:1", "--layers", "layer1", "--grid", "4"], "nothing to compare: .* finer --grid"),
    "even band": ([*TIMM, "--data", "scenes:1", "--layers", "layer1", "--band", "4"], "odd and positive, found 4"),
    "grid": (
        [*TIMM, "--data", "scenes:1", "--layers", "layer1", "--grid", "1", "2", "3"],
        r"--grid takes .* \[1, 2, 3\]",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_named(analyze, arguments, message):
    Path("in").mkdir()
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save("in/a.png")
    code, _, err = analyze(*arguments, "--out", "out")
    assert code == 2 and "Traceback" not in err
    assert re.search(rf"dealias analyze: .*{message}", err, re.DOTALL), err
    assert not Path("out").exists()


def test_nothing_is_replaced_and_grids_are_for_similarity(analyze, capsys):
    Path("out").mkdir()
    Path("out/similarity.json").write_text("mine")
    code, _, err = analyze(*TIMM, "--data", "scenes:1", "--out", "out")
    assert code == 2 and "out holds a similarity analysis already" in err
    assert main(["analyze", *TIMM, "--data", "scenes:1", "--grid", "8"]) == 2
    assert "--grid is for --similarity" in capsys.readouterr().err
