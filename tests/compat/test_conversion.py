# SPDX-License-Identifier: Apache-2.0
"""Conversion of published files: what is read, recognised, refused, accounted for and written."""

import json
import pickle
import re
import shlex
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest
import torch
from PIL import Image

from dealias import compat
from dealias.cli import _parser as parser
from dealias.cli import main
from dealias.compat import seg_aliasing, segnext
from dealias.compat.conversion import Images, convert
from dealias.compat.published import LAYOUTS
from dealias.compat.reading import read_published
from dealias.compat.recognition import recognise
from dealias.fusion import create_fusion
from dealias.models import create_model, read_model_file, read_part_file
from dealias.train import load_checkpoint

SMALL = {"channels": [8, 16, 24, 32], "depths": [1, 2, 1, 1], "mlp_ratios": [2, 2, 2, 2]}
COLOURS = [[i, 2 * i, 3 * i] for i in range(5)]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    options = {"encoder_options": SMALL, "decoder_channels": 32}
    return create_model("segnext", "mscan_t", classes=5, fusion="freqfusion", **options).eval()


@pytest.fixture
def published(network, tmp_path):
    """A file of mmcv."""
    meta = {"CLASSES": tuple("abcde"), "PALETTE": COLOURS}
    torch.save({"meta": meta, "state_dict": segnext.to_published(network), "optimizer": {}}, tmp_path / "published.pth")
    return tmp_path / "published.pth"


def test_command_writes_what_others_read(published, network, tmp_path, capsys):
    target = tmp_path / "own.safetensors"
    assert main(["convert", str(published), "--to", str(target)]) == 0
    printed = capsys.readouterr().out
    assert "layout segnext" in printed and "fixed, computed here" in printed and "meta, optimizer" in printed
    row = re.search(r"^ ?all +(\d+) +(\d+) +- +- +-", printed, re.MULTILINE)
    assert int(row[1]) + int(row[2]) == len(segnext.to_published(network))
    loaded, meta = load_checkpoint(target)
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(loaded(images), network(images))
    assert meta["classes"] == list("abcde") and [list(colour) for colour in meta["palette"]] == COLOURS
    assert meta["mean"] == [0.485, 0.456, 0.406]
    assert read_model_file(target)[1]["source"] == "published.pth"
    before = target.read_bytes()
    assert main(["convert", str(published), "--to", str(target)]) == 2
    assert "is there already" in capsys.readouterr().err and target.read_bytes() == before


def test_converted_file_predicts(published, tmp_path):
    main(["convert", str(published), "--to", str(tmp_path / "own.safetensors")])
    Image.new("RGB", (50, 40), (10, 200, 90)).save(tmp_path / "image.png")
    out = ["--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(["predict", str(tmp_path / "image.png"), "--checkpoint", str(tmp_path / "own.safetensors"), *out]) == 0
    with Image.open(tmp_path / "out" / "labels" / "image.png") as labels:
        assert labels.size == (50, 40)


def test_partly_matching_file(published, tmp_path, capsys):
    content = torch.load(published, weights_only=True)
    weights = content["state_dict"]
    weights["extra.weight"] = torch.zeros(1)
    del weights["backbone.norm1.weight"]
    torch.save(content, published)
    arguments = ["convert", str(published), "--to", str(tmp_path / "own.safetensors")]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert "missing backbone.norm1.weight" in captured.out and "unexpected extra.weight" in captured.out
    assert "2 tensors have no place, do not fit or are missing" in captured.err
    assert not (tmp_path / "own.safetensors").exists()
    with pytest.raises(ValueError, match=r"d\.pth: .*missing backbone\.norm1\.weight; unexpected extra\.weight"):
        convert(published)
    assert main([*arguments, "--partial"]) == 0
    loaded, _ = load_checkpoint(tmp_path / "own.safetensors")
    own = loaded.state_dict()
    for name, key in convert(published, partial=True).matching.used.items():
        assert torch.equal(own[key], weights[name])


def test_blue_first(published, network, tmp_path):
    conversion = convert(published, images=Images(mean=(0.1, 0.2, 0.3), bgr=True))
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(conversion.network(images), network(images.flip(1)))
    conversion.write(tmp_path / "own.safetensors")
    assert load_checkpoint(tmp_path / "own.safetensors")[1]["mean"] == [0.1, 0.2, 0.3]


def test_prefilters_without_weights_must_be_told(tmp_path):
    network = create_model("upernet", "resnet18", classes=2, decoder_channels=4, encoder_options={"stem_type": "deep"})
    torch.save(seg_aliasing.to_published(network), tmp_path / "plain.pth")
    with pytest.raises(ValueError, match=r"plain\.pth: the weights do not tell whether de-aliasing filters"):
        convert(tmp_path / "plain.pth")
    assert convert(tmp_path / "plain.pth", options={"prefilter": "none"}).network.config["prefilter"] == "none"


class Harmful:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code of a file ran')",))


class History:
    def __init__(self):
        self.values = [1.0]


def test_objects_are_dropped_and_code_never_runs(published):
    content = torch.load(published, weights_only=True)
    torch.save(content | {"message_hub": {"history": History(), "harm": Harmful()}}, published)
    file = read_published(published)
    assert file.weights.keys() == content["state_dict"].keys() and "message_hub" in file.dropped
    torch.save({"state_dict": {"a.weight": Harmful()}}, published)
    with pytest.raises(ValueError, match=r"published\.pth: .*must hold tensors by key, found a\.weight"):
        read_published(published)


def test_damaged_and_foreign_files(tmp_path):
    path = tmp_path / "file.pth"
    for content in (b"", b"nonsense", pickle.dumps({"model": Harmful()})):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"file\.pth: cannot be read as a checkpoint without running code"):
            read_published(path)
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match=r"file\.pth: a checkpoint must hold tensors by name, found list"):
        read_published(path)
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        read_published(tmp_path / "none.pth")
    with pytest.raises(ValueError, match=r"no known layout: expected mask2former, .*begin with backbone\.a, head"):
        recognise(["backbone.a.b", "head"])


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: compat.FreqFusion(16, 24, compressed_channels=16, feature_resample=True), "fusion"),
        (lambda: compat.FreqFusionDSConv(16, 24, compressed_channels=16), "fusion"),
        (lambda: compat.FreqFusionDWT(16, 16, compressed_channels=16, hamming_window=False), "fusion"),
        (lambda: compat.CARAFEPack(16, 2, up_kernel=3, compressed_channels=8), "fusion"),
        (lambda: compat.DySample(16, groups=2, dyscope=True), "fusion"),
        (lambda: compat.DySample(16, style="pl", scale=2), "fusion"),
        (lambda: compat.FrequencyMix(32, compress_ratio=8), "mixer"),
        (lambda: compat.Downsample_PASA_group_softmax(16, 3, stride=2, group=4), "prefilter"),
    ],
)
def test_single_modules(make, kind, tmp_path):
    torch.manual_seed(0)
    module = make().eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    torch.save(module.state_dict(), tmp_path / "module.pth")
    conversion = convert(tmp_path / "module.pth")
    assert conversion.layout == "module" and conversion.matching.problems() == []
    conversion.write(tmp_path / "own.safetensors")
    own, metadata = read_part_file(tmp_path / "own.safetensors")
    assert metadata == {"source": "module.pth", "layout": "module"}
    fine, coarse = torch.randn(2, 16, 8, 12), torch.randn(2, getattr(module, "lr_channels", 16), 4, 6)
    with torch.no_grad():
        if kind == "fusion" and isinstance(module, compat.FreqFusion):
            torch.testing.assert_close(own(fine, coarse), module(fine, coarse)[1:])
        elif kind == "fusion":
            torch.testing.assert_close(own(fine, coarse)[1], module(coarse))
        else:
            x = torch.randn(2, 32 if kind == "mixer" else 16, 8, 12)
            stride = 2 if kind == "prefilter" else 1
            torch.testing.assert_close(own(x)[..., ::stride, ::stride], module(x))


def test_commands_of_the_page():
    """They can be parsed, and their options are those of their layouts."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "published_weights.md").read_text(encoding="utf-8")
    commands = [shlex.split(line)[1:] for line in page.splitlines() if line.startswith("dealias convert ")]
    accepted = {name for layout in LAYOUTS.values() for name in signature(plan_of(layout)).parameters}
    assert len(commands) >= 5
    for command in commands:
        assert set(parser("convert").parse_args(command).options) <= accepted


def plan_of(module):
    return import_module(f"dealias.compat.{module}").plan


def test_part_files_are_no_model_files(tmp_path):
    from dealias.models import write_part_file

    part = create_fusion("carafe", 8, 8)
    arguments = {"name": "carafe", "hr_channels": 8, "lr_channels": 8, "options": {}}
    write_part_file(part, tmp_path / "part.safetensors", "fusion", arguments)
    with pytest.raises(ValueError, match=r"part\.safetensors: it holds no whole network but a part, a fusion"):
        read_model_file(tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match="no whole network"):
        load_checkpoint(tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match="a part must be one of encoder, fusion, prefilter, mixer, got 'head'"):
        write_part_file(part, tmp_path / "part.safetensors", "head", json.loads("{}"))
