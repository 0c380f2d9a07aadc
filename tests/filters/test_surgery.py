# SPDX-License-Identifier: Apache-2.0
"""Prefilters put into networks: which layers get one, that it works there, and that it can be taken out again."""

import functools

import pytest
import timm
import torch
import torchvision
from torch import nn

from dealias.filters import Blur, DeAliasingFilter, Prefilter, antialias_, list_prefilters, remove_antialias_
from dealias.ops.spectrum import low_pass

IMAGES = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
TINY_SWIN = {"embed_dim": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 4, 8), "strict_img_size": False}


class UNet(nn.Module):
    """A plain one, with one pool module for maps of different channels."""

    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)])
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        fine = self.down[0](x)
        coarse = self.pool(self.down[1](self.pool(fine)))
        return self.head(self.up(coarse))


def residual_network():
    """A strided block with a shortcut after a stem: all parts have names of their own."""
    torch.manual_seed(0)
    return nn.ModuleDict(
        {
            "stem": nn.Conv2d(3, 8, 7, stride=2, padding=3),
            "pool": nn.MaxPool2d(3, stride=2, padding=1),
            "main": nn.Conv2d(8, 16, 3, stride=2, padding=1),
            "shortcut": nn.Conv2d(8, 16, 1, stride=2),
            "depthwise": nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16),
            "plain": nn.Conv2d(16, 16, 3),
            "tall": nn.Conv2d(16, 16, 3, stride=(2, 1)),
            "up": nn.ConvTranspose2d(16, 8, 2, stride=2),
            "context": nn.AdaptiveAvgPool2d(3),
        }
    )


NETWORKS = {
    "resnet18": (
        lambda: timm.create_model("resnet18", num_classes=2),
        {"maxpool": 0.25}
        | {f"layer{i}.0.conv1": 0.5**1.5 for i in (2, 3, 4)}
        | {f"layer{i}.0.downsample.0": 0.25 for i in (2, 3, 4)},
    ),
    "resnet18 of torchvision": (
        lambda: torchvision.models.resnet18(num_classes=2),
        {"maxpool": 0.25}
        | {f"layer{i}.0.conv1": 0.5**1.5 for i in (2, 3, 4)}
        | {f"layer{i}.0.downsample.0": 0.25 for i in (2, 3, 4)},
    ),
    "convnext": (
        lambda: timm.create_model("test_convnext", num_classes=2),
        {
            f"stages.{i}.downsample.1": (out / before) ** 0.5 / 4
            for i, before, out in ((1, 24, 32), (2, 32, 48), (3, 48, 64))
        },
    ),
    "swin": (
        lambda: timm.create_model("swin_tiny_patch4_window7_224", num_classes=2, **TINY_SWIN),
        {f"layers.{i}.downsample": 0.5**1.5 for i in (1, 2, 3)},
    ),
    "swin of torchvision": (
        lambda: torchvision.models.swin_transformer.SwinTransformer([4, 4], 24, [1, 1], [1, 2], [7, 7]),
        {"features.2": 0.5**1.5},
    ),
    "mobilenet": (
        lambda: timm.create_model("mobilenetv2_100", num_classes=2),
        {f"blocks.{i}.0.conv_dw": 0.25 for i in (1, 2, 3, 5)},
    ),
    "efficientnet": (
        lambda: timm.create_model("efficientnet_b0", num_classes=2),
        {f"blocks.{i}.0.conv_dw": 0.25 for i in (1, 2, 3, 5)},
    ),
    "u-net": (UNet, {"pool": 0.25}),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_finds_what_reduces_the_resolution(name):
    build, cutoffs = NETWORKS[name]
    network = build().eval()
    state = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.no_grad():
        before = network(IMAGES)
        report = antialias_(network)
        after = network(IMAGES)
    assert {entry.name: entry.prefilter.cutoff for entry in report.filtered} == pytest.approx(cutoffs)
    assert after.shape == before.shape and not torch.equal(after, before)
    assert list(network.state_dict()) == list(state)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert set(remove_antialias_(network)) == set(cutoffs)
    with torch.no_grad():
        assert torch.equal(network(IMAGES), before)


def test_says_why_it_left_the_others():
    report = antialias_(residual_network())
    assert [entry.name for entry in report.filtered] == ["pool", "main", "shortcut", "depthwise"]
    assert {entry.name: entry.reason.partition(":")[0] for entry in report.left} == {
        "stem": "reads the image",
        "plain": "stride 1",
        "tall": "strides 2 and 1",
        "up": "transposed",
        "context": "the stride follows from the size of the input",
    }
    text = str(report)
    assert "filtered main: convolution 3x3 stride 2x2, 8 -> 16; DeAliasingFilter(8, stride=2, cutoff=0.3536)" in text
    assert "left stem: convolution 7x7 stride 2x2, 3 -> 8; reads the image" in text


def test_layers_see_the_filtered_map():
    network = residual_network()
    antialias_(network)
    x = torch.randn(2, 8, 18, 21)
    bare = residual_network()
    for name, cutoff in (("main", 0.5**1.5), ("shortcut", 0.25), ("pool", 0.25)):
        torch.testing.assert_close(network[name](x), bare[name](low_pass(x, cutoff)))


def test_a_wave_that_would_fold_is_gone():
    """0.4 cycles per sample appears at 0.2 after stride 2; the filter of a layer that doubles the channels ends it."""
    wave = torch.cos(2 * torch.pi * 0.4 * torch.arange(40)).expand(1, 8, 40, 40)
    network = residual_network()
    with torch.no_grad():
        assert (network["shortcut"](wave) - network["shortcut"].bias[:, None, None]).std() > 0.1
        antialias_(network)
        assert (network["shortcut"](wave) - network["shortcut"].bias[:, None, None]).abs().max() < 1e-5


def test_patch_merging_sees_the_filtered_map():
    merging = timm.models.swin_transformer.PatchMerging(8)
    x = torch.randn(2, 10, 13, 8)
    expected = merging(Blur(8, taps=5)(x.movedim(-1, 1)).movedim(1, -1))
    antialias_(merging, Blur, taps=5)
    torch.testing.assert_close(merging(x), expected)


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (None, ["pool", "main", "shortcut", "depthwise"]),
        ("all", ["stem", "pool", "main", "shortcut", "depthwise"]),
        (["main", "stem"], ["stem", "main"]),
        ("main", ["main"]),
        (
            lambda name, layer: isinstance(layer, nn.Conv2d) and layer.kernel_size > (1, 1),
            ["stem", "main", "depthwise"],
        ),
    ],
)
def test_where(where, names):
    report = antialias_(residual_network(), "blur", where)
    assert [entry.name for entry in report.filtered] == names
    assert all(isinstance(entry.prefilter, Blur) for entry in report.filtered)


@pytest.mark.parametrize("prefilter", list_prefilters())
def test_every_prefilter(prefilter):
    network = residual_network()
    report = antialias_(network, prefilter)
    learned = [key for key in network.state_dict() if key not in residual_network().state_dict()]
    if prefilter == "adaptive_blur":
        assert {key.rpartition(".prefilter.")[0] for key in learned} == {"main", "shortcut", "depthwise"}
        assert next(entry.reason for entry in report.left if entry.name == "pool").startswith(
            "AdaptiveBlur has weights"
        )
    else:
        assert learned == [] and report.filtered[0].name == "pool"
    assert network["main"](torch.randn(2, 8, 9, 9)).shape == (2, 16, 5, 5)


def test_sources_of_prefilters():
    for source in ("blur", Blur):
        report = antialias_(residual_network(), source, taps=5)
        assert all(entry.prefilter.taps == 5 for entry in report.filtered)
    asked = []

    def factory(channels, stride):
        asked.append((channels, stride))
        return nn.AvgPool2d(3, stride=1, padding=1)

    network = residual_network()
    antialias_(network, factory)
    assert asked == [(None, 2), (8, 2), (8, 2), (16, 2)]
    assert antialias_(network, factory).filtered == ()
    assert remove_antialias_(network) == ["pool", "main", "shortcut", "depthwise"]
    partial = functools.partial(DeAliasingFilter, cutoff=0.1)
    assert {entry.prefilter.cutoff for entry in antialias_(residual_network(), partial).filtered} == {0.1}


def test_twice_is_once():
    network = residual_network()
    first = antialias_(network, "adaptive_blur").filtered
    keys = list(network.state_dict())
    second = antialias_(network, "adaptive_blur")
    assert second.filtered == () and list(network.state_dict()) == keys
    assert {entry.name for entry in second.left if entry.reason == "has a prefilter"} == {e.name for e in first}
    assert not any("prefilter" in entry.name for entry in second.left)
    assert [e.name for e in antialias_(network, "daf").filtered] == ["pool"]
    assert remove_antialias_(network) == ["pool", "main", "shortcut", "depthwise"]
    assert not any(isinstance(module, Prefilter) for module in network.modules())
    assert remove_antialias_(network) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prefilter": "box"}, "unknown prefilter 'box'; known: none, blur"),
        ({"prefilter": "daf", "taps": 3}, "no option taps; it accepts: cutoff"),
        ({"prefilter": "daf", "cutoff": 3}, "cutoff must be 0-0.5"),
        ({"prefilter": Blur, "cutoff": 0.3}, "prefilter Blur has no option cutoff"),
        ({"prefilter": lambda channels, stride: Blur(channels), "taps": 3}, "options .*taps.* need a prefilter's name"),
        ({"prefilter": Blur(8)}, r"a filter of its own; got Blur\(8, stride=2"),
        ({"prefilter": None}, "must be a name, a class or a factory, .* got None"),
        ({"where": ["main", "mian"]}, "before 'mian': no convolution, .*; layers that can have one: pool|stem"),
        ({"where": "plain"}, "before 'plain': stride 1"),
        ({"where": ["pool"], "prefilter": "adaptive_blur"}, "before 'pool': AdaptiveBlur has weights"),
    ],
)
def test_wrong_arguments_change_nothing(arguments, message):
    network = residual_network()
    with pytest.raises(ValueError, match=message):
        antialias_(network, **arguments)
    assert remove_antialias_(network) == []
