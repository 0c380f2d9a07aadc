# SPDX-License-Identifier: Apache-2.0
"""Exported networks give the network's logits at sizes that they were not traced at, by standard operators alone."""

import json
import re
from pathlib import Path

import pytest
import torch

from dealias.cli import main
from dealias.export import check_sizes, format_of, open_exported, trace, write_exported
from dealias.export.program import foreign_operators
from dealias.models import SegmentationModel, create_classifier, create_model

SHAPES = [(1, 3, 64, 96), (2, 3, 61, 75), (1, 3, 33, 130), (3, 3, 97, 34)]
TINY = {"encoder_name": "test_resnet", "classes": 5, "decoder_channels": 16}
ARGUMENTS = ["--encoder", "test_resnet", "--classes", "5", "--model-options", '{"decoder_channels": 16}']


def tiny(arch="fpn", **options):
    torch.manual_seed(0)
    return create_model(arch, **{**TINY, **options}).eval()


def differences(exported, network):
    return [check.difference / check.largest for check in check_sizes(exported, network, SHAPES, 1.0)]


@pytest.fixture(scope="module")
def network():
    return tiny()


@pytest.fixture(scope="module")
def program(network):
    return trace(network)


def test_onnx_in_onnxruntime(tmp_path):
    """Learned kernels, a de-aliasing filter, adaptive pools, and maps that have to be completed at odd sizes."""
    onnx = pytest.importorskip("onnx")
    path, network = tmp_path / "deep" / "a.onnx", tiny("upernet", fusion="carafe", prefilter="daf")
    write_exported(trace(network), path, "onnx", {"dealias": "text"})
    assert max(differences(open_exported(path), network)) < 1e-5
    model = onnx.load(path)
    onnx.checker.check_model(model)
    assert {opset.domain for opset in model.opset_import} <= {"", "pkg.torch.onnx", "pkg.onnxscript.torch_lib.common"}
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    assert not {node.op_type for node in nodes} & {"DFT", "STFT"}
    assert "text" in {prop.value for prop in model.metadata_props}
    dims = [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    assert model.graph.input[0].name == "images" and dims[1] == 3 and all(isinstance(dims[i], str) for i in (0, 2, 3))
    assert [path.name for path in path.parent.iterdir()] == ["a.onnx"]


def test_a_program_in_torch(tmp_path, network, program):
    path = tmp_path / "a.pt2"
    write_exported(program, path, "program", {"dealias": "text"})
    assert max(differences(open_exported(path), network)) < 1e-5
    extra = {"dealias": ""}
    loaded = torch.export.load(path, extra_files=extra)
    assert extra["dealias"] == "text" and foreign_operators(loaded) == []
    with pytest.raises((RuntimeError, AssertionError), match="33"):
        loaded.module()(torch.zeros(1, 3, 32, 64))


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float16, 1e-2), (torch.bfloat16, 8e-2)], ids=["float16", "bfloat16"]
)
def test_half_precision_keeps_float_outside(network, dtype, tolerance):
    exported = trace(network, dtype)
    assert {p.dtype for p in exported.state_dict.values() if p.is_floating_point()} == {dtype}
    assert exported.module()(torch.zeros(2, 3, 40, 50)).dtype == torch.float32
    assert 0 < max(differences(exported.module(), network)) < tolerance
    assert next(network.parameters()).dtype == torch.float32


def test_a_fusion_of_many_operators_is_written_out():
    network = tiny(fusion="freqfusion", fusion_options={"compressed_channels": 8})
    exported = trace(network)
    assert foreign_operators(exported) == []
    assert max(differences(exported.module(), network)) < 1e-4


def test_a_graph_for_sizes_that_are_multiples(network):
    exported, images = trace(network, multiple=32).module(), torch.ones(1, 3, 128, 64)
    torch.testing.assert_close(exported(images), network(images))


def test_a_network_in_training_is_exported_as_in_evaluation():
    network = tiny(dropout=0.5)
    expected = network(torch.ones(1, 3, 48, 48))
    exported = trace(network.train())
    torch.testing.assert_close(exported.module()(torch.ones(1, 3, 48, 48)), expected)
    assert network.training and all(p.requires_grad for p in network.parameters())


def test_other_networks_are_refused():
    with pytest.raises(ValueError, match=r"only segmentation networks .* ClassificationModel"):
        trace(create_classifier("test_resnet", classes=3))
    with pytest.raises(ValueError, match="modulation 'ars' cannot be exported"):
        trace(tiny(modulation="ars"))


def test_what_is_no_standard_operator_is_named():
    class Foreign(torch.nn.Module):
        def forward(self, x):
            return torch.fft.rfft2(torch.ops.dealias.kernel_normalize(x, 3, None)).abs()

    found = foreign_operators(torch.export.export(Foreign(), (torch.zeros(1, 9, 8, 8),)))
    assert "dealias.kernel_normalize.default" in found and any("fft" in name for name in found)


def test_a_check_that_fails_leaves_what_was_there(tmp_path, program):
    path = tmp_path / "a.pt2"
    path.write_text("before")

    def fail(exported):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        write_exported(program, path, "program", {}, fail)
    assert path.read_text() == "before" and [p.name for p in tmp_path.iterdir()] == ["a.pt2"]


def test_the_command_writes_a_checked_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    network = create_model("fpn", **TINY)
    network.save_pretrained("model", data={"classes": list("abcde"), "mean": [0.5] * 3, "std": [0.2] * 3})
    code = main(["export", "model/model.safetensors", "--to", "a.pt2", "--sizes", "47x64", "80"])
    out = capsys.readouterr().out
    assert code == 0 and "1 x 3 x 47 x 64" in out and "2 x 3 x 80 x 80" in out and "Wrote a.pt2" in out
    assert max(differences(open_exported(Path("a.pt2")), SegmentationModel.from_pretrained("model"))) < 1e-5
    extra = {"dealias": ""}
    torch.export.load("a.pt2", extra_files=extra)
    about = json.loads(extra["dealias"])
    assert about["network"] == network.config and about["data"]["mean"] == [0.5] * 3 and about["dtype"] == "float32"


ERRORS = {
    "ending": (["fpn", "--to", "a.txt"], r"a\.txt: a name must end in \.onnx or \.pt2"),
    "format": (["fpn", "--to", "a.pt2", "--format", "tflite"], "unknown format 'tflite'; known: onnx, program, aoti"),
    "both": (["fpn", "--to", "a.pt2", "--format", "onnx"], r"files of the format onnx end in \.onnx"),
    "type": (["fpn", "--to", "a.onnx", "--dtype", "int8"], "unknown --dtype 'int8'; known: float32"),
    "bfloat16": (["fpn", "--to", "a.onnx", "--dtype", "bfloat16"], "onnx has no networks in bfloat16"),
    "sizes": (["fpn", "--to", "a.onnx", "--sizes", "32"], "at least 33"),
    "compiled sizes": (["fpn", "--to", "a.pt2", "--format", "aoti", "--sizes", "97x64"], "and multiples of 32"),
    "model": (["fnp", "--to", "a.onnx"], "no architecture and no file: fnp; known architectures: upernet"),
    "detector": (["faster_rcnn", "--to", "a.onnx"], "only segmentation networks"),
    "tolerance": (["fpn", "--to", "a.pt2", "--tolerance", "-1", "--sizes", "40"], "not written, .* differ .* 40x40"),
}


@pytest.mark.parametrize(("arguments", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_name_what_is_wrong_and_leave_nothing(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    options = ARGUMENTS if arguments[0] == "fpn" else ["--encoder", "test_resnet"] * (arguments[0] != "fnp")
    code = main(["export", *arguments, *options])
    err = capsys.readouterr().err
    assert code == 2 and err.startswith("dealias export: "), err
    assert re.search(message, err), err
    assert list(tmp_path.iterdir()) == []


def test_formats_follow_the_name():
    assert [format_of(Path(name)) for name in ("a.onnx", "a.pt2")] == ["onnx", "program"]
    with pytest.raises(FileNotFoundError, match=r"missing\.onnx: no such file"):
        open_exported(Path("missing.onnx"))
