# SPDX-License-Identifier: Apache-2.0
"""Model files: what is written is made again, and what is damaged, foreign or untold is refused by name."""

import json
import warnings

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from dealias.fusion import create_fusion
from dealias.models import create_classifier, create_model, read_model_file, read_part_file, write_model_file
from dealias.train.checkpoints import checkpoint_task, load_classifier, load_detector

SIZES = {"min_size": 64, "max_size": 96}
NETWORKS = {
    "segmentation": lambda: create_model("fpn", "test_resnet", classes=5, decoder_channels=16, fusion="freqfusion"),
    "classification": lambda: create_classifier("test_resnet", classes=5, prefilter="daf"),
    "objects": lambda: create_model(
        "mask_rcnn", "test_resnet", classes=3, decoder_channels=8, box_channels=16, **SIZES
    ),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "network.safetensors"


@pytest.mark.parametrize("task", NETWORKS)
def test_written_and_read_again(task, path):
    network = NETWORKS[task]()
    write_model_file(network, path, {"source": "a test"})
    again, metadata = read_model_file(path)
    assert type(again) is type(network) and again.config == network.config and not again.training
    assert metadata == {"source": "a test"} and checkpoint_task(path) == task
    expected = network.state_dict()
    assert expected.keys() == load_file(path).keys()
    assert all(torch.equal(value, expected[key]) for key, value in again.state_dict().items())
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["dealias"])["network"] == network.config
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_mask2former(path):
    pytest.importorskip("transformers")
    network = create_model(
        "mask2former", "test_resnet", classes=2, fusion="carafe", decoder_channels=32, **SIZES
    ).eval()
    write_model_file(network, path)
    again, _ = load_detector(path)
    image = torch.rand(3, 48, 64)
    with torch.no_grad():
        assert torch.equal(again([image])[0]["semantic"], network([image])[0]["semantic"])


def test_checkpoint_readers_take_it(path):
    write_model_file(NETWORKS["classification"](), path, {"data": json.dumps({"classes": ["a"] * 5})})
    network, meta = load_classifier(path)
    assert network.classes == 5 and meta["classes"] == ["a"] * 5 and meta["step"] == 0
    with pytest.raises(ValueError, match="expected a checkpoint of the task objects, got one of classification"):
        load_detector(path)


def test_shared_tensors(path):
    network = NETWORKS["segmentation"]()
    network.decoder.tied = network.decoder.classifier
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_model_file(network, path)
    weights = load_file(path)
    tied = [key for key in weights if key.startswith("decoder.tied.")]
    assert tied and all(torch.equal(weights[key], weights[key.replace("tied", "classifier")]) for key in tied)


def test_what_is_not_written(path):
    network = NETWORKS["segmentation"]()
    with pytest.raises(ValueError, match=r"network\.pth: the name of a model file must end in \.safetensors"):
        write_model_file(network, path.with_suffix(".pth"))
    with pytest.raises(ValueError, match="without the name 'dealias'"):
        write_model_file(network, path, {"dealias": "other"})
    with pytest.raises(ValueError, match=r"a model file needs a network of create_model or .*, got Linear"):
        write_model_file(torch.nn.Linear(1, 1), path)

    def factory(hr_channels, lr_channels):
        return create_fusion("nearest", hr_channels, lr_channels)

    network = create_model("fpn", "test_resnet", decoder_channels=16, fusion=factory)
    with pytest.raises(ValueError, match=r"fusions of the factory .*factory cannot be made again"):
        write_model_file(network, path)
    assert not path.exists()


def test_what_is_not_read(path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_model_file(path)
    path.write_bytes(b"\x01\x02nonsense")
    with pytest.raises(ValueError, match=r"network\.safetensors: cannot be read as safetensors"):
        read_model_file(path)
    network = NETWORKS["segmentation"]()
    weights = network.state_dict()
    described = {"version": "0", "task": "segmentation", "network": network.config}
    for header, message in (
        (None, "no model file of dealias, its metadata lacks 'dealias'"),
        ("{", "is no JSON"),
        ("[" * 9999, "is no JSON"),
        (json.dumps({"version": "0", "task": "segmentation"}), "must have version, task and network"),
        (json.dumps({**described, "task": "other"}), "it holds no whole network but a part"),
        (json.dumps({**described, "network": {"arch": "fpn"}}), "its network cannot be built"),
        (json.dumps({**described, "task": "objects"}), "its network is not for objects, it is a SegmentationModel"),
        (json.dumps({**described, "network": network.config | {"classes": 6}}), "do not fit the network that it"),
        (json.dumps({**described, "network": network.config | {"decoder_channels": 10**7}}), "its network cannot be"),
    ):
        save_file(weights, path, {} if header is None else {"dealias": header})
        with pytest.raises(ValueError, match=rf"network\.safetensors: .*{message}"):
            read_model_file(path)
    save_file(weights, path, {"dealias": json.dumps(described)})
    with pytest.raises(ValueError, match="it holds none of encoder, fusion, prefilter, mixer, but a network for segm"):
        read_part_file(path)
