# SPDX-License-Identifier: Apache-2.0
"""Networks as folders: what is written comes back, offline, and the card says what is known."""

import json
import subprocess
import sys
import types

import pytest
import torch
import yaml

from dealias.data import SyntheticScenes
from dealias.fusion import Bilinear
from dealias.models import (
    CardFacts,
    DetectionModel,
    Mask2FormerModel,
    SegmentationModel,
    create_classifier,
    create_model,
)
from dealias.train import load_checkpoint

NETWORKS = {
    "segmentation": lambda: create_model("fpn", "test_resnet", classes=4, fusion="freqfusion", decoder_channels=16),
    "classification": lambda: create_classifier("test_resnet", classes=4),
    "boxes": lambda: create_model(
        "faster_rcnn", "test_resnet", classes=3, decoder_channels=8, box_channels=16, min_size=64, max_size=96
    ),
}
META = {"classes": ["a", "b", "c", "d"], "mean": [0.5] * 3, "std": [0.25] * 3, "palette": None, "step": 3}


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Whatever asks the network fails."""

    def refuse(*arguments, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_a_folder_gives_the_network_back(tmp_path, make):
    torch.manual_seed(0)
    network = make().eval()
    folder = network.save_pretrained(tmp_path / "deep" / "model")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    found = type(network).from_pretrained(folder)
    assert type(found) is type(network) and not found.training and found.config == network.config
    state = network.state_dict()
    assert state.keys() == found.state_dict().keys()
    assert all(torch.equal(value, state[key]) for key, value in found.state_dict().items())
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(found(images), network(images), rtol=0, atol=0)


def test_mask2former_and_a_base_class(tmp_path):
    pytest.importorskip("transformers")
    options = {"decoder_channels": 32, "queries": 4, "decoder_layers": 1, "encoder_layers": 1, "heads": 2}
    network = create_model("mask2former", "test_resnet", classes=3, **options)
    network.save_pretrained(tmp_path)
    found = DetectionModel.from_pretrained(tmp_path)
    assert isinstance(found, Mask2FormerModel) and found.config == network.config
    with pytest.raises(ValueError, match="it has a Mask2FormerModel, no SegmentationModel"):
        SegmentationModel.from_pretrained(tmp_path)


def test_what_is_known_of_the_data_goes_along(tmp_path):
    network = NETWORKS["segmentation"]()
    network.save_pretrained(tmp_path, data=META)
    known = {"classes": META["classes"], "mean": META["mean"], "std": META["std"]}
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["data"] == known and config["network"] == network.config and config["task"] == "segmentation"
    found, meta = load_checkpoint(tmp_path / "model.safetensors")
    assert {key: meta[key] for key in known} == known and meta["palette"] is None
    assert torch.equal(next(found.parameters()), next(network.parameters()))


@pytest.fixture
def run(tmp_path):
    """The files of a run that a card takes from."""
    folder = tmp_path / "run"
    folder.mkdir()
    scores = {"val": {"mIoU": 0.71234, "BIoU": 0.5, "IoU": [0.1, 0.2]}}
    (folder / "metrics.json").write_text(json.dumps({"scores": scores, "steps": 4}))
    (folder / "env.json").write_text(json.dumps({"command": "dealias fit --config a.yaml"}))
    train = {"class_path": "dealias.data.SyntheticScenes", "init_args": {"length": 8}}
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": {"train": train, "val": train, "batch_size": 2}}))
    return folder


def test_the_card_says_what_the_run_says(tmp_path, run):
    network = NETWORKS["segmentation"]()
    facts = CardFacts.of_run(run, license="apache-2.0")
    assert facts.scores == {"mIoU": 0.71234, "BIoU": 0.5} and SyntheticScenes.__name__ in facts.data
    network.save_pretrained(tmp_path / "model", facts)
    card = (tmp_path / "model" / "README.md").read_text()
    _, header, body = card.split("---\n", 2)
    expected = {"library_name": "dealias", "pipeline_tag": "image-segmentation", "license": "apache-2.0"}
    assert yaml.safe_load(header) == {**expected, "tags": ["dealias"]}
    for text in ("| mIoU | 0.7123 |", "| fusion | freqfusion |", "dealias fit --config a.yaml", '"length": 8'):
        assert text in body
    parameters = sum(p.numel() for p in network.parameters())
    assert f"| parameters | {parameters:,} |" in body and "Unknown" not in body
    network.save_pretrained(tmp_path / "bare")
    assert (tmp_path / "bare" / "README.md").read_text().count("Unknown.") == 3


@pytest.mark.parametrize("name", ["metrics.json", "config.yaml", "env.json"])
def test_a_folder_that_is_no_run_is_named(run, name):
    (run / name).write_text("[1]")
    with pytest.raises(ValueError, match=f"{name}: it must hold values by name"):
        CardFacts.of_run(run)
    (run / name).unlink()
    with pytest.raises(ValueError, match=name):
        CardFacts.of_run(run)


def test_bad_folders_and_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no folder of save_pretrained, it has no model\.safetensors"):
        SegmentationModel.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"model\.safetensors: cannot be read"):
        SegmentationModel.from_pretrained(tmp_path)
    for name in (tmp_path / "missing", "missing", "a/b/c", "../a"):
        with pytest.raises(FileNotFoundError, match="no such folder"):
            SegmentationModel.from_pretrained(name)
    with pytest.raises(ValueError, match="of the factory"):
        create_model("fpn", "test_resnet", classes=2, fusion=Bilinear).save_pretrained(tmp_path)


def test_the_hub_is_not_asked_when_it_must_not_be(tmp_path):
    program = f"""
from dealias.models import SegmentationModel, create_model
network = create_model("fpn", "test_resnet", classes=2, decoder_channels=8)
for call in (lambda: SegmentationModel.from_pretrained("owner/name", cache_dir={str(tmp_path)!r}),
             lambda: network.push_to_hub("owner/name")):
    try:
        call()
    except OSError as error:
        print(type(error).__name__, error)
"""
    variables = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=variables)
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    assert "owner/name: no such folder, and the hub does not give it: " in lines[0]
    assert "owner/name: cannot be written to the hub: " in lines[1]


def test_a_network_goes_to_the_hub_and_comes_back(tmp_path, monkeypatch):
    """Against a hub that is a folder."""
    calls = []

    class Api:
        def __init__(self, token):
            calls.append(token)

        def create_repo(self, name, private, exist_ok):
            calls.append((name, private, exist_ok))

        def upload_folder(self, repo_id, folder_path, commit_message):
            SegmentationModel.from_pretrained(folder_path).save_pretrained(tmp_path / repo_id)
            return types.SimpleNamespace(commit_url="https://hub/owner/name/commit/1")

    hub = types.SimpleNamespace(HfApi=Api, hf_hub_download=lambda name, file, **options: str(tmp_path / name / file))
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    network = NETWORKS["segmentation"]()
    assert network.push_to_hub("owner/name", private=True, token="t") == "https://hub/owner/name/commit/1"
    assert calls == ["t", ("owner/name", True, True)]
    found = SegmentationModel.from_pretrained("owner/name", revision="main")
    assert torch.equal(next(found.parameters()), next(network.parameters()))
    with pytest.raises(ValueError, match="expected OWNER/NAME, got 'name'"):
        network.push_to_hub("name")
