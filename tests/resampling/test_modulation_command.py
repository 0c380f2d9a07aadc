# SPDX-License-Identifier: Apache-2.0
"""What ``dealias analyze --modulation`` measures and writes, and what it refuses."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from dealias.analysis import (
    BoundaryRule,
    aliasing_score,
    along_boundaries,
    compose_warps,
    direction_colours,
    round_trip,
)
from dealias.backbones import recording
from dealias.cli import main
from dealias.data import SyntheticScenes, evaluation_transform
from dealias.experiments.data import VAL_SEED
from dealias.ops.warp import demodulate
from dealias.report.choice import evenly_spaced
from dealias.train import load_checkpoint

TRANSFORM = evaluation_transform((0.4, 0.5, 0.6), (0.2, 0.2, 0.2), (64, 96))
SIZE = ("--size", 64, 96)
STAGES = [f"encoder.body.layer{number}.0.modulation" for number in (2, 3, 4)]


def read(folder):
    return json.loads((Path(folder) / "modulation.json").read_text())


def pixels(file):
    return np.asarray(Image.open(Path("out") / file).convert("RGB")).astype(int)


def run(network, sample):
    """The inputs of the modulations, and what they did."""
    seen = []
    hooks = [
        network.get_submodule(name).register_forward_pre_hook(lambda _, args: seen.append(args[0])) for name in STAGES
    ]
    with torch.no_grad(), recording() as tape:
        network.encoder(TRANSFORM(sample)["image"].as_subclass(Tensor)[None])
    for hook in hooks:
        hook.remove()
    return seen, tape


@pytest.fixture(scope="module")
def scenes():
    return SyntheticScenes(5, seed=VAL_SEED)


def test_numbers_are_those_of_the_stages(analyze, checkpoint, scenes):
    arguments = ("--data", "scenes:5", "--limit", 3, *SIZE, "--band", 3, "--samples", 0)
    code, out, err = analyze("--checkpoint", checkpoint, *arguments, "--out", "out")
    assert code == 0, err
    assert "layer2.0" in out and re.search("In out: report.html, modulation.json$", out.strip())
    found = read("out")
    assert (
        found["network"]["name"] == "fpn with test_resnet, bilinear, ars" and found["network"]["weights"] == "trained"
    )
    assert (found["data"]["images"], found["data"]["of"], found["pictures"]) == (3, 5, [])
    assert found["settings"] == {"size": [64, 96], "band": 3}
    assert [stage["name"] for stage in found["stages"]] == STAGES
    samples = [scenes[index] for index in evenly_spaced(5, 3)]
    network, rule = load_checkpoint(checkpoint)[0], BoundaryRule(scenes.ignore_index, 3)
    runs = [run(network, sample) for sample in samples]
    for order, stage in enumerate(found["stages"]):
        inputs, tapes = ([of[order] for of in part] for part in zip(*runs, strict=True))
        assert (stage["size"], stage["stride"], stage["nyquist"]) == ([16 >> order, 24 >> order], 2, 0.25)
        assert stage["channels"] == inputs[0].shape[1]
        modulated = [resampling.warp.apply(x) for x, resampling in zip(inputs, tapes, strict=True)]
        for name, maps in (("before", inputs), ("modulated", modulated)):
            scores = [aliasing_score(x, 0.25).item() for x in maps]
            assert stage["aliasing"][name]["mean"] == pytest.approx(np.mean(scores), rel=1e-4)
            assert stage["aliasing"][name]["std"] == pytest.approx(np.std(scores, ddof=1), rel=1e-3, abs=1e-6)
        moved = [(each.warp.map - straight(each.warp.map)).norm(dim=1).max().item() for each in tapes]
        assert stage["displacement"]["mean"] == pytest.approx(np.mean(moved), rel=1e-4) and np.mean(moved) > 0.1
        density = []
        for sample, (_, tape) in zip(samples, runs, strict=True):
            divided = rule.divide(TRANSFORM(sample)["mask"].as_subclass(Tensor)[None])
            warp = compose_warps([each.warp for each in tape[: order + 1]])
            density.append(along_boundaries(warp, *divided)[0].item())
        assert stage["density"]["mean"] == pytest.approx(np.mean(density), rel=1e-4)


def straight(map):
    y, x = torch.meshgrid(*(torch.arange(float(length)) for length in map.shape[2:]), indexing="ij")
    return torch.stack([x, y])[None]


def test_pictures_show_the_stages(analyze, checkpoint, scenes):
    arguments = ("--data", "scenes:5", "--samples", 1, "--maps", 2, *SIZE)
    assert analyze("--checkpoint", checkpoint, *arguments, "--out", "out")[0] == 0
    (entry,) = read("out")["pictures"]
    sample = scenes[evenly_spaced(5, 1)[0]]
    assert entry["name"] == sample["name"] and [of["name"] for of in entry["stages"]] == STAGES[:2]
    np.testing.assert_array_equal(pixels(entry["image"]), sample["image"].permute(1, 2, 0).numpy())
    overview = Image.open(Path("out") / entry["overview"])
    assert overview.width > 8 * 256 and overview.height > 2 * 256
    inputs, tape = run(load_checkpoint(checkpoint)[0], sample)
    for order, of in enumerate(entry["stages"]):
        warps = [each.warp for each in tape[: order + 1]]
        trip = round_trip(inputs[order], warps[-1], 2)
        colours = direction_colours([getattr(trip, name)[0] for name in of["maps"]])
        for file, colour in zip(of["maps"].values(), colours, strict=True):
            assert np.abs(pixels(file) - colour.numpy()).max() <= 1
        np.testing.assert_array_equal(pixels(of["maps"]["sampled"]), pixels(of["maps"]["modulated"])[::2, ::2])
        attention = demodulate(tape[order].attention, warps[:-1], (512, 512))[0, 0].numpy()
        shown = pixels(of["attention"]).sum(-1)
        assert np.corrcoef(shown.ravel(), attention.ravel())[0, 1] > 0.9
        assert of["top"] == pytest.approx(np.quantile(attention, 0.995), rel=0.05)
        points, source = compose_warps(warps).map[0], compose_warps(warps).size
        dots = pixels(of["points"])
        is_dot = dots[..., 0] - dots[..., 2] > 120
        for x, y in points.flatten(1).T.tolist():
            row, column = ((place + 0.5) * 512 / length for place, length in zip((y, x), source, strict=True))
            assert is_dot[min(int(row), 511), min(int(column), 511)]
        assert is_dot.mean() < 0.3 and of["every"] == 1


def test_a_new_network_moves_nothing_and_images_need_no_labels(analyze, new):
    Path("in").mkdir()
    random = np.random.default_rng(0)
    for number in range(2):
        Image.fromarray(random.integers(0, 256, (64, 100, 3), dtype=np.uint8)).save(f"in/{number}.png")
    assert analyze("--checkpoint", new, "--data", "in", "--out", "out")[0] == 0
    found = read("out")
    for stage in found["stages"]:
        assert stage["displacement"]["mean"] < 1e-3 and stage["density"] == {"mean": None, "std": None, "images": 0}
        assert stage["aliasing"]["modulated"]["mean"] == pytest.approx(stage["aliasing"]["before"]["mean"], abs=1e-4)
    assert found["settings"]["band"] is None
    page = (Path("out") / "report.html").read_text()
    assert "The modulations do nothing" in page and "density at boundaries" not in page


def test_the_report_can_be_written_again_from_the_files(analyze, checkpoint):
    assert analyze("--checkpoint", checkpoint, "--data", "scenes:2", "--samples", 1, "--size", 64)[0] == 0
    (folder,) = Path("runs").glob("*-analyze")
    assert main(["report", str(folder), "--out", "again.html"]) == 0
    assert Path("again.html").read_text() == (folder / "report.html").read_text()


REFUSED = {
    "no modulation": (["--model", "fpn/test_resnet"], r"fpn with test_resnet, bilinear has no modulation to analyse"),
    "no segmentation": (["--timm", "test_resnet"], "test_resnet has no modulation to analyse"),
    "layers": (["--model", "fpn/test_resnet", "--layers", "a"], "--layers is not for --modulation"),
    "grid": (["--model", "fpn/test_resnet", "--grid", "8"], "--grid is for --similarity"),
    "band": (['--model={"arch": "fpn", "encoder_name": "test_resnet", "modulation": "ars"}', "--band", "4"], "found 4"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_named(analyze, arguments, message):
    code, _, err = analyze(*arguments, "--data", "scenes:1", "--out", "out")
    assert code == 2 and "Traceback" not in err
    assert re.search(rf"dealias analyze: .*{message}", err, re.DOTALL), err
    assert not Path("out").exists()


def test_nothing_is_replaced_and_one_question_is_asked_at_once(analyze):
    Path("out").mkdir()
    Path("out/modulation.json").write_text("mine")
    code, _, err = analyze("--timm", "test_resnet", "--data", "scenes:1", "--out", "out")
    assert code == 2 and "out holds a modulation analysis already" in err
    with pytest.raises(SystemExit):
        analyze("--similarity", "--timm", "test_resnet", "--data", "scenes:1")
