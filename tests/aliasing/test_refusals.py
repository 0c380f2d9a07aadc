# SPDX-License-Identifier: Apache-2.0
"""Wrong arguments, images and networks are named, and nothing half-done is left."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from dealias.aliasing import measure, measure_network
from dealias.cli import main
from dealias.inspection import Subject, open_images

TIMM = ("--timm", "test_resnet")

REFUSED = {
    "no such model": (
        ["--timm", "resnet51", "--data", "scenes:1"],
        r"unknown timm backbone 'resnet51'; close names: .*",
    ),
    "no such checkpoint": (["--checkpoint", "x.ckpt", "--data", "scenes:1"], r"x\.ckpt"),
    "no description": (["--model", "resnet18", "--data", "scenes:1"], r"ARCH/ENCODER, as fpn/resnet18.*'resnet18'"),
    "wrong JSON": (["--model", '{"arch": ', "--data", "scenes:1"], "no JSON"),
    "unknown argument": (['--model={"arch": "fpn", "encodr": "a"}', "--data", "scenes:1"], "encodr"),
    "unknown data": ([*TIMM, "--data", "citivapes:here"], r"unknown data 'citivapes:here'; known: .*"),
    "no folder": ([*TIMM, "--data", "nowhere"], "nowhere: no such file or folder"),
    "no images": ([*TIMM, "--data", "empty"], r"empty: no images there"),
    "no scenes": ([*TIMM, "--data", "scenes:0"], "scenes:0: no images there"),
    "broken image": ([*TIMM, "--data", "broken"], r"b\.png: cannot be read as an image"),
    "no limit": ([*TIMM, "--data", "scenes:1", "--limit", "0"], "at least one image"),
    "three sizes": ([*TIMM, "--data", "scenes:1", "--size", "1", "2", "3"], r"--size takes .* \[1, 2, 3\]"),
    "unknown layer": ([*TIMM, "--data", "scenes:1", "--layers", "no"], "no layers no; its downsampling layers: conv1"),
    "pretrained model": (["--model", "fpn/test_resnet", "--pretrained", "--data", "scenes:1"], "--pretrained"),
    "wrong size": (
        ["--timm", "vit_tiny_patch16_224", "--data", "scenes:1", "--size", "200"],
        r"vit_tiny.* does not take .*, 200 x 200 .*; try another --size",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_named(analyze, arguments, message):
    Path("empty").mkdir()
    Path("broken").mkdir()
    Path("broken/b.png").write_bytes(b"no picture")
    code, _, err = analyze(*arguments, "--out", "out")
    assert code == 2 and "Traceback" not in err
    assert re.search(rf"dealias analyze: .*{message}", err, re.DOTALL), err
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "arguments", [["--data", "scenes:1"], [*TIMM], [*TIMM, "--model", "a/b", "--data", "scenes:1"]]
)
def test_network_and_data_are_needed_once(arguments):
    with pytest.raises(SystemExit):
        main(["analyze", *arguments])


@pytest.mark.parametrize("file", ["analysis.json", "report.html"])
def test_nothing_is_replaced(analyze, file):
    Path("out").mkdir()
    (Path("out") / file).write_text("mine")
    code, _, err = analyze(*TIMM, "--data", "scenes:1", "--out", "out")
    assert code == 2 and f"out holds a{'n analysis' if 'json' in file else ' report'} already" in err
    assert [path.name for path in Path("out").iterdir()] == [file] and (Path("out") / file).read_text() == "mine"


def test_interrupting_leaves_nothing(analyze, monkeypatch):
    Path("in").mkdir()
    for number in range(3):
        Image.fromarray(np.full((40, 40, 3), 80 * number, np.uint8)).save(f"in/{number}.png")
    done, run = [], measure.run

    def interrupted(subject, sample):
        done.append(sample["name"])
        if len(done) == 2:
            raise KeyboardInterrupt
        return run(subject, sample)

    monkeypatch.setattr(measure, "run", interrupted)
    code, _, err = analyze(*TIMM, "--data", "in", "--out", "out")
    assert code == 130 and "dealias analyze: interrupted; nothing was written" in err and "Traceback" not in err
    assert done == ["0", "1"] and not Path("out").exists() and not Path("runs").exists()


def test_a_network_that_keeps_the_size_has_nothing_to_measure():
    subject = Subject(nn.Conv2d(3, 3, 3), "same", "random")
    with pytest.raises(ValueError, match="same has no layer that makes feature maps smaller"):
        measure_network(subject, open_images("scenes:1", 1))
