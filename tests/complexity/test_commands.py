# SPDX-License-Identifier: Apache-2.0
"""``dealias info`` and ``dealias compare --complexity``, as they are typed."""

import json
import re

import pytest
import torch

from dealias.cli import main
from dealias.complexity.flops import FORMULAS
from dealias.complexity.system import active_backends
from dealias.kernels import kernel_status
from dealias.ops import _triton
from dealias.ops._compiled import OPERATORS

SMALL = ["--encoder", "test_resnet", "--size", "64x96", "--runs", "1", "--device", "cpu"]


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


def dealias(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_info_of_an_architecture(capsys, workplace):
    options = ["--fusion", "carafe", "--prefilter", "daf", "--mixer", "freqmix", "--classes", "7"]
    further = ["--model-options", '{"decoder_channels": 16, "fusion_options": {"compressed_channels": 8}}']
    code, out, err = dealias(capsys, "info", "fpn", *SMALL, *options, *further, "--json", "info.json")
    assert code == 0, err
    for text in (
        "fpn with test_resnet, carafe, daf, freqmix",
        "1 x 3 x 64 x 96",
        "MiB",
        "ms",
        "to stride 16",
        "mixers",
    ):
        assert text in out
    assert "counts two FLOPs for each" in " ".join(out.split())
    found = json.loads((workplace / "info.json").read_text())
    assert (found["format"], found["version"], found["input"]) == ("dealias info", 1, [1, 3, 64, 96])
    assert (found["network"]["classes"], found["network"]["fusion_options"]) == (7, {"compressed_channels": 8})
    assert found["environment"]["threads"] == torch.get_num_threads()
    whole = found["parts"][0]
    assert (whole["name"], whole["level"]) == ("network", 0) and whole["seconds"] > 0
    assert f"{whole['parameters']:,}" in out
    assert sum(found["flops_by_operator"].values()) == whole["flops"] == 2 * whole["macs"]


def test_info_of_a_checkpoint(capsys, workplace, tiny):
    network = tiny(in_channels=2, fusion="dysample")
    state = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    content = {"dealias": {"network": network.config}, "state_dict": state, "global_step": 1, "epoch": 0}
    torch.save(content, workplace / "a.ckpt")
    arguments = ["info", "a.ckpt", "--size", "64", "--runs", "0", "--batch", "2", "--device", "cpu"]
    code, out, err = dealias(capsys, *arguments, "--json", "b.json")
    assert code == 0, err
    assert "fpn with test_resnet, dysample" in out and "no time was measured" in out
    found = json.loads((workplace / "b.json").read_text())
    assert found["network"] == network.config and found["input"] == [2, 2, 64, 64]
    assert found["parts"][0]["parameters"] == sum(p.numel() for p in network.parameters())
    code, _, err = dealias(capsys, *arguments, "--fusion", "carafe", "--classes", "3")
    assert code == 2 and "leave --fusion, --classes out" in err


def test_info_of_the_system(capsys, workplace):
    code, out, err = dealias(capsys, "info", "--system", "--device", "cpu", "--json", "system.json")
    assert code == 0, err
    system = json.loads((workplace / "system.json").read_text())["system"]
    assert torch.__version__.startswith(system["versions"]["torch"])
    assert (system["device"], system["threads"]) == ("cpu", torch.get_num_threads())
    assert all(re.search(rf"^ ?{name} +\S", out, re.MULTILINE) for name in ("torch", "timm", "threads", *FORMULAS))


def test_backends_are_those_of_every_operator():
    found = {backend.operator: backend for backend in active_backends("cpu")}
    registered = {name.split("::")[1] for name in torch._C._dispatch_get_all_op_names() if name.startswith("dealias::")}
    assert {name.partition(".")[0] for name in registered if not name.endswith("_backward")} == set(FORMULAS)
    status = kernel_status()
    for name in FORMULAS:
        compiled = status.active and name in OPERATORS
        assert found[name].backend == ("compiled kernels" if compiled else "torch")
        assert (status.reason if name in OPERATORS else "no kernel of its own") in found[name].reason
    for backend in active_backends("cuda"):
        runs = backend.operator in _triton.OPERATORS and _triton.unavailable() is None
        assert backend.backend == ("Triton kernels" if runs else "torch")


ERRORS = {
    "nothing": ([], "give a MODEL, or --system"),
    "unknown": (["resnet50"], "no architecture and no file: resnet50; known architectures: upernet, fpn"),
    "fusion": (["fpn", *SMALL, "--fusion", "carave"], "unknown fusion 'carave'"),
    "option": (["fpn", *SMALL, "--model-options", '{"decoder": 3}'], "fpn has no option decoder"),
    "type": (["fpn", *SMALL, "--model-options", '{"decoder_channels": "x"}'], "--model-options: .*'str'"),
    "twice": (["fpn", *SMALL, "--fusion", "carafe", "--model-options", '{"fusion": "sapa"}'], "repeats fusion"),
    "batch": (["fpn", *SMALL, "--batch", "0"], "--batch must be at least 1, got 0"),
    "runs": (["fpn", *SMALL, "--runs", "-1"], "got -1"),
    "image": (["fpn", "--encoder", "test_resnet", "--size", "16"], "at least 32.*16 x 16"),
    "device": (["fpn", *SMALL, "--device", "abacus"], "unknown device 'abacus'"),
}


@pytest.mark.parametrize(("arguments", "message"), ERRORS.values(), ids=ERRORS)
def test_info_names_what_is_wrong(capsys, arguments, message):
    code, _, err = dealias(capsys, "info", *arguments)
    assert code == 2 and re.search(rf"dealias info: .*{message}", err), err


@pytest.mark.parametrize("value", ["64x", "0x64", "64x-1", "large"])
def test_sizes_must_be_sizes(capsys, value):
    with pytest.raises(SystemExit):
        main(["info", "fpn", "--size", value])
    assert f"expected HEIGHTxWIDTH in pixels, such as 512x1024, got '{value}'" in capsys.readouterr().err


def test_compare_complexity_writes_its_table_and_trains_nothing(capsys, workplace):
    arguments = ["compare", "--complexity", "--size", "64", "--runs", "1", "--device", "cpu", "--out", "costs"]
    options = ["--fusion", "bilinear", "a2u", "freqfusion", "--fusion-options", '{"freqfusion": {"up_group": 2}}']
    code, out, err = dealias(capsys, *arguments, *options)
    assert code == 0, err
    files = {path.name for path in (workplace / "costs").iterdir()}
    assert files == {"complexity.md", "complexity.csv", "complexity.json"}
    found = json.loads((workplace / "costs" / "complexity.json").read_text())
    assert (found["format"], found["image"], found["channels"]) == ("dealias fusion complexity", [64, 64], 256)
    assert [fusion["name"] for fusion in found["fusions"]] == ["bilinear", "a2u", "freqfusion"]
    assert found["environment"]["device"] == "cpu" and found["fusions"][1]["agrees"] is False
    assert "32,370" in out and "In costs: complexity.md, .csv, .json" in out
    code, _, err = dealias(capsys, *arguments)
    assert code == 2 and "costs/complexity.json exists already" in err


def test_compare_complexity_measures_all_fusions_unless_told(capsys, workplace, monkeypatch):
    monkeypatch.setattr("dealias.fusion.list_fusions", lambda: ["nearest", "bilinear"])
    code, _, err = dealias(capsys, "compare", "--complexity", "--size", "32", "--runs", "0", "--device", "cpu")
    assert code == 0, err
    (result,) = (workplace / "runs").glob("*-complexity/complexity.json")
    assert [fusion["name"] for fusion in json.loads(result.read_text())["fusions"]] == ["nearest", "bilinear"]
