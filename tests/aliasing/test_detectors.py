# SPDX-License-Identifier: Apache-2.0
"""``dealias analyze`` of networks that find objects: their layers, on images that they resize themselves."""

import json

import pytest
import torch

from dealias import __version__
from dealias.models import create_detector

SMALL = {"decoder_channels": 8, "box_channels": 16, "min_size": 64, "max_size": 96}


@pytest.fixture
def detector_checkpoint(tmp_path):
    torch.manual_seed(0)
    network = create_detector("faster_rcnn", "test_resnet", classes=3, **SMALL)
    stored = {
        "dealias": {"version": __version__, "task": "objects", "network": network.config, "scores": {}},
        "state_dict": {f"network.{key}": value for key, value in network.state_dict().items()},
        "global_step": 0,
        "epoch": 0,
        "ObjectsData": {"classes": ["a", "b", "c"], "mean": None, "std": None},
    }
    path = tmp_path / "last.ckpt"
    torch.save(stored, path)
    return path


def layers_of(folder):
    content = json.loads((folder / "analysis.json").read_text())
    assert (folder / "report.html").is_file()
    return {layer["name"]: layer for layer in content["layers"]}


def test_of_a_checkpoint_and_of_a_description(analyze, detector_checkpoint, tmp_path):
    data = ["--data", "scenes:2/2", "--samples", 1]
    code, _, err = analyze("--checkpoint", detector_checkpoint, *data, "--out", tmp_path / "trained")
    assert code == 0, err
    described = json.dumps({"arch": "faster_rcnn", "encoder_name": "test_resnet", "classes": 3, **SMALL})
    code, _, err = analyze("--model", described, *data, "--out", tmp_path / "random")
    assert code == 0, err
    trained, random = (layers_of(tmp_path / name) for name in ("trained", "random"))
    assert set(trained) == set(random) and len(trained) > 3
    assert all(name.startswith("backbone.encoder.") for name in trained)
    assert max(layer["score"] for layer in trained.values()) > 0.1
    # both have the weights of seed 0 and see images from 0 to 1, which the network normalises
    assert {name: layer["score"] for name, layer in trained.items()} == pytest.approx(
        {name: layer["score"] for name, layer in random.items()}, rel=1e-3
    )


def test_similarity_is_refused(analyze, detector_checkpoint):
    code, _, err = analyze("--similarity", "--checkpoint", detector_checkpoint, "--data", "scenes:2/2")
    assert code == 2 and "faster_rcnn with test_resnet" in err and "pads images" in err
