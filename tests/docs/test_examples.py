# SPDX-License-Identifier: Apache-2.0
"""The page "Where do I put it?": its examples run, fusions are where interpolation was, and what it says holds."""

import functools
import importlib.util
import io
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.segmentation.lraspp import LRASPPHead
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from dealias.filters import DeAliasingFilter, antialias_
from dealias.fusion import Bilinear, Nearest, create_fusion, list_fusions

PAGE = Path(__file__).resolve().parents[2] / "docs" / "where_to_put_it.md"
TEXT = PAGE.read_text(encoding="utf-8")
HEADINGS = {
    "own": "A network of your own",
    "timm": "Features of a timm backbone",
    "smp": "segmentation_models_pytorch",
    "yolo": "YOLO-style necks",
    "torchvision": "torchvision",
    "down": "On the way down",
}
ANY_RATIO = {"nearest", "bilinear", "guided_attention"}
WITHOUT_OWN_OPERATORS = {"nearest", "bilinear", "deconv", "pixel_shuffle", "indexnet"}


def blocks(key, language="python"):
    """The code blocks below a heading, with the number of the line of the page before each."""
    start = TEXT.index(f"\n## {HEADINGS[key]}\n")
    end = TEXT.find("\n## ", start + 1)
    for block in re.compile(rf"^```{language}\n(.*?)^```$", re.DOTALL | re.MULTILINE).finditer(TEXT, start, end):
        yield TEXT.count("\n", 0, block.start(1)), block[1]


@functools.cache
def run(key):
    """What an example defines; its blocks run one after the other."""
    if key == "smp" and importlib.util.find_spec("segmentation_models_pytorch") is None:
        pytest.skip("segmentation_models_pytorch is not installed; the extra [dev] brings it")
    torch.manual_seed(0)
    names = {"__name__": key}
    for lines_before, code in blocks(key):
        exec(compile("\n" * lines_before + code, PAGE, "exec"), names)
    return names


@pytest.mark.parametrize("key", HEADINGS)
def test_example_runs(key):
    assert run(key)


def test_no_block_is_left_out():
    assert sum(len(list(blocks(key))) for key in HEADINGS) == TEXT.count("```python\n") == 9


def test_own_network():
    model = run("own")["UNet"](5, fusion=Nearest).eval()
    images = torch.randn(2, 3, 21, 34)
    one = model.down[0](images)
    two = model.down[1](F.max_pool2d(one, 2))
    three = model.down[2](F.max_pool2d(two, 2))
    two = model.up[1](torch.cat([two, F.interpolate(three, size=(10, 17))], dim=1))
    one = model.up[0](torch.cat([one, F.interpolate(two, size=(21, 34))], dim=1))
    torch.testing.assert_close(model(images), model.head(one))


@pytest.mark.parametrize("name", list_fusions())
def test_own_network_with_any_fusion(name):
    model = run("own")["UNet"](5, fusion=functools.partial(create_fusion, name))
    model(torch.randn(1, 3, 37, 50)).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_fusions_are_where_smp_interpolates():
    names = run("smp")
    model = names["smp"].Unet("resnet18", encoder_weights=None, decoder_channels=names["widths"], classes=3).eval()
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        before = model(images)
        names["fuse_decoder_"](model, names["widths"], fusion=Nearest)
        torch.testing.assert_close(model(images), before)
    assert len(antialias_(model.encoder).filtered) == 7


def test_fusions_are_where_yolo_interpolates():
    names = run("yolo")
    network, images = names["Network"](names["rows"]).eval(), torch.randn(2, 3, 96, 64)
    assert sum(isinstance(layer, nn.Upsample) for layer in network.model) == 2
    places = [(layer.f, layer.i) for layer in network.model]
    with torch.no_grad():
        before = network(images)
        names["fuse_neck_"](network.model, lambda: network(images), fusion=Nearest)
        torch.testing.assert_close(network(images), before)
    fused = [i for i, layer in enumerate(network.model) if isinstance(layer, names["FusedConcat"])]
    assert fused == [6, 9] and all(isinstance(network.model[i - 1], nn.Identity) for i in fused)
    assert [(layer.f, layer.i) for layer in network.model] == places
    assert not any(layer._forward_pre_hooks for _, layer in names["rows"])


def test_yolo_exports_for_any_multiple_of_its_stride():
    network = run("yolo")["network"]
    height, width = (32 * torch.export.Dim(name, min=2, max=64) for name in ("rows", "columns"))
    program = torch.export.export(network, (torch.randn(1, 3, 64, 96),), dynamic_shapes=({2: height, 3: width},))
    stored = io.BytesIO()
    torch.export.save(program, stored)
    stored.seek(0)
    loaded = torch.export.load(stored).module()
    for size in ((64, 96), (96, 64), (128, 160)):
        images = torch.randn(1, 3, *size)
        torch.testing.assert_close(loaded(images), network(images), rtol=1e-4, atol=1e-5)


def test_fusions_are_where_torchvisions_pyramid_interpolates():
    pyramid = FeaturePyramidNetwork([6, 8, 10], 4, extra_blocks=LastLevelMaxPool())
    features = {"0": torch.randn(1, 6, 13, 18), "1": torch.randn(1, 8, 7, 9), "2": torch.randn(1, 10, 4, 5)}
    fused = run("torchvision")["FusedPyramid"](pyramid, fusion=Nearest)
    assert set(fused.state_dict()) == set(pyramid.state_dict())
    expected = pyramid(features)
    assert list(fused(features)) == list(expected) == ["0", "1", "2", "pool"]
    for name, level in fused(features).items():
        torch.testing.assert_close(level, expected[name])


def test_fusion_is_where_torchvisions_head_interpolates():
    head = LRASPPHead(8, 12, 5, 6).eval()
    features = {"low": torch.randn(2, 8, 13, 18), "high": torch.randn(2, 12, 7, 9)}
    fused = run("torchvision")["FusedHead"](head, fusion=Bilinear).eval()
    assert set(fused.state_dict()) == set(head.state_dict())
    torch.testing.assert_close(fused(features), head(features))


def test_report_on_the_page_is_the_one_printed():
    assert [text for _, text in blocks("down", "text")] == [f"{run('down')['report']}\n"]


def test_layers_that_get_a_prefilter():
    own = antialias_(run("own")["UNet"](5, fusion=Nearest))
    assert [entry.name for entry in own.filtered] == ["pool"]
    yolo = antialias_(run("yolo")["Network"](run("yolo")["rows"]))
    assert [entry.name for entry in yolo.filtered] == [f"model.{i}.0" for i in (1, 2, 3, 4)]
    detector = antialias_(run("torchvision")["detector"].backbone.body)
    assert [entry.layer.kind for entry in detector.filtered] == ["max pool"] + 6 * ["convolution"]
    learning = antialias_(run("own")["UNet"](5, fusion=Nearest), "adaptive_blur")
    assert "does not tell its channels" in next(entry.reason for entry in learning.left if entry.name == "pool")
    indexnet = antialias_(run("own")["UNet"](5, fusion=functools.partial(create_fusion, "indexnet")))
    assert len(indexnet.filtered) == 3


def test_what_timms_layer_leaves():
    network = run("down")["filtered"]
    assert sum(isinstance(module, DeAliasingFilter) for module in network.modules()) == 4
    report = antialias_(network)
    assert [entry.name for entry in report.filtered] == [f"layer{i}.0.downsample.0" for i in (2, 3, 4)]
    assert [entry.name for entry in report.left if max(entry.layer.stride) > 1] == ["conv1"]


@pytest.mark.parametrize("name", list_fusions())
def test_what_the_page_says_of_a_fusion(name):
    fusion = create_fusion(name, 32, 32).eval()
    hr, lr = torch.randn(1, 32, 12, 14), torch.randn(1, 32, 6, 7)
    sharpens = name == "freqfusion" or name.endswith("-ff")
    assert torch.equal(fusion(hr, lr)[0], hr) != sharpens
    if name in ANY_RATIO:
        assert fusion(hr, lr[..., :2, :3])[1].shape == hr.shape
    else:
        with pytest.raises(ValueError, match=r"12, 14.*2, 3"):
            fusion(hr, lr[..., :2, :3])
    program = torch.export.export(fusion, (hr, lr))
    own = [node for node in program.graph.nodes if str(node.target).startswith("dealias.")]
    assert (not own) == (name in WITHOUT_OWN_OPERATORS)


@pytest.mark.parametrize(
    ("name", "fine", "coarse"),
    [("freqfusion", 32, 6), ("dysample", 32, 6), ("dysample+", 32, 6), ("dysample-s+", 32, 12), ("a2u", 48, 32)],
)
def test_groups_of_channels_are_asked_for(name, fine, coarse):
    with pytest.raises(ValueError, match=r"divide|multiple"):
        create_fusion(name, fine, coarse)
    create_fusion(name, 32, 8 if name == "dysample-s+" else 4)
