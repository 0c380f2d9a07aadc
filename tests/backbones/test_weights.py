# SPDX-License-Identifier: Apache-2.0
import pickle
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from dealias.backbones import TimmEncoder


def classifier(name="test_convnext"):
    torch.manual_seed(1)
    return timm.create_model(name, num_classes=7).eval()


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "mobilenetv3_small_050", "twins_svt_small"])
def test_features_are_those_of_the_classifier(name, tmp_path):
    options = {"depths": (1, 1, 1, 1), "embed_dims": (16, 32, 32, 64), "num_heads": (1, 2, 2, 4)}
    options = options if name.startswith("twins") else {}
    torch.manual_seed(1)
    source = timm.create_model(name, **options).eval()
    save_file(source.state_dict(), tmp_path / "weights.safetensors")
    encoder = TimmEncoder(name, str(tmp_path / "weights.safetensors"), options=options).eval()
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = source.forward_intermediates(images, intermediates_only=True)[-4:]
        found = encoder(images)
    for x, y in zip(found, expected, strict=True):
        torch.testing.assert_close(x, y)


@pytest.mark.parametrize("wrap", [None, "state_dict", "model"])
@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_pickled_files(wrap, suffix, tmp_path):
    source = classifier().state_dict()
    path = tmp_path / f"weights{suffix}"
    torch.save(source if wrap is None else {wrap: source, "epoch": 3}, path)
    stem = TimmEncoder("test_convnext", str(path)).body.state_dict()["stem_0.weight"]
    assert torch.equal(stem, source["stem.0.weight"])


def test_first_convolution_fits_the_image_channels(tmp_path):
    source = classifier().state_dict()
    torch.save(source, tmp_path / "weights.pth")
    gray = TimmEncoder("test_convnext", str(tmp_path / "weights.pth"), in_channels=1)
    torch.testing.assert_close(gray.body.state_dict()["stem_0.weight"], source["stem.0.weight"].sum(1, keepdim=True))


def test_older_files_without_batch_counters(tmp_path):
    source = classifier("test_resnet").state_dict()
    old = {key: value for key, value in source.items() if "num_batches" not in key}
    torch.save(old, tmp_path / "old.pth")
    body = TimmEncoder("test_resnet", str(tmp_path / "old.pth")).body
    assert torch.equal(body.state_dict()["layer4.0.conv1.weight"], source["layer4.0.conv1.weight"])


def test_everything_that_does_not_fit_is_listed(tmp_path):
    source = classifier().state_dict()
    source["strange.weight"] = torch.zeros(1)
    source["stages.0.blocks.0.conv_dw.weight"] = torch.zeros(2, 3)
    del source["stages.3.blocks.0.norm.bias"]
    torch.save(source, tmp_path / "wrong.pth")
    with pytest.raises(ValueError, match=r"wrong\.pth does not fit timm's 'test_convnext'") as caught:
        TimmEncoder("test_convnext", str(tmp_path / "wrong.pth"))
    message = str(caught.value)
    assert "unknown strange.weight" in message
    assert "stages_0.blocks.0.conv_dw.weight is (2, 3) instead of (24, 1, 7, 7)" in message
    assert "missing stages_3.blocks.0.norm.bias" in message


def test_long_lists_are_cut(tmp_path):
    torch.save(classifier("test_resnet").state_dict(), tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"unknown conv1.0.weight.*; and \d+ more$"):
        TimmEncoder("test_convnext", str(tmp_path / "other.pth"))


class Intruder:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_files_that_are_no_weights(tmp_path):
    def load(name):
        TimmEncoder("test_resnet", str(tmp_path / name))

    with pytest.raises(ValueError, match=r"existing file .* got '.*absent\.pth'"):
        load("absent.pth")
    (tmp_path / "weights.bin").touch()
    with pytest.raises(ValueError, match=r"\.safetensors, \.pth, \.pt.*weights\.bin"):
        load("weights.bin")
    for name in ("noise.pth", "noise.safetensors"):
        (tmp_path / name).write_bytes(b"not weights at all")
        with pytest.raises(ValueError, match=rf"{name} cannot be read as weights"):
            load(name)
    torch.save({"epoch": 3}, tmp_path / "numbers.pth")
    with pytest.raises(ValueError, match=r"numbers\.pth holds more than tensors: epoch"):
        load("numbers.pth")
    (tmp_path / "intruder.pth").write_bytes(pickle.dumps({"x": Intruder(tmp_path / "touched")}, protocol=2))
    with pytest.raises(ValueError, match=r"intruder\.pth cannot be read as weights"):
        load("intruder.pth")
    assert not (tmp_path / "touched").exists()
