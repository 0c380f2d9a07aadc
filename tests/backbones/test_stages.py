# SPDX-License-Identifier: Apache-2.0
"""Stages of backbones: where they begin, what reduces the resolution there, and what can be put in."""

import itertools

import pytest
import torch
from torch import nn

from dealias.backbones import TimmEncoder
from dealias.filters import DeAliasingFilter

SWIN = {"embed_dim": 24, "depths": (1, 1, 2, 1), "num_heads": (1, 2, 4, 8)}
TWO_BY_TWO = ("ConvNeXtStage", "SwinTransformerStage", "SwinTransformerV2Stage", "SwinTransformerV2CrStage")

# name: (options, kind of entry, channels of the four levels, blocks with a mixer in stages 2-4)
BACKBONES = {
    "resnet50c": ({}, "Bottleneck", (256, 512, 1024, 2048), (4, 6, 3)),
    "resnet18": ({}, "BasicBlock", (64, 128, 256, 512), (2, 2, 2)),
    "resnetv2_50": ({}, "ResNetStage", (256, 512, 1024, 2048), None),
    "regnety_002": ({}, "Bottleneck", (24, 56, 152, 368), (1, 4, 7)),
    "convnext_atto": ({}, "ConvNeXtStage", (40, 80, 160, 320), (2, 6, 2)),
    "swin_tiny_patch4_window7_224": (SWIN, "SwinTransformerStage", (24, 48, 96, 192), None),
    "swinv2_tiny_window8_256": (SWIN, "SwinTransformerV2Stage", (24, 48, 96, 192), None),
    "swinv2_cr_tiny_224": (SWIN, "SwinTransformerV2CrStage", (24, 48, 96, 192), None),
    "mobilenetv2_100": ({}, "InvertedResidual", (24, 32, 96, 320), None),
    "efficientnet_lite0": ({}, "InvertedResidual", (24, 40, 112, 320), None),
    "test_mambaout": ({}, "MambaOutStage", (16, 32, 48, 64), None),
}


class Recorder(nn.Module):
    """Passes maps on, times a number, and keeps their shapes."""

    def __init__(self, gain=1.0):
        super().__init__()
        self.gain, self.shapes = gain, []

    def forward(self, x):
        self.shapes.append(tuple(x.shape))
        return self.gain * x


def with_backbone(check):
    return pytest.mark.parametrize("name", BACKBONES)(check)


def build(name):
    torch.manual_seed(0)
    return TimmEncoder(name, options=BACKBONES[name][0]).eval()


@with_backbone
def test_stages_lead_from_level_to_level(name):
    _, entry, channels, _ = BACKBONES[name]
    encoder = build(name)
    assert encoder.channels == channels
    stages = encoder.stages()
    assert [(s.in_channels, s.out_channels) for s in stages] == list(itertools.pairwise(channels))
    for stage in stages:
        assert type(stage.entry).__name__ == entry
        assert stage.stride == 2
        layer = stage.as_layer()
        assert (layer.in_channels, layer.out_channels) == (stage.in_channels, stage.out_channels)
        assert layer.stride == (2, 2) and layer.weight.is_meta
    if entry in TWO_BY_TWO:
        assert [stage.kernel for stage in stages] == [2, 2, 2]
    elif entry != "InvertedResidual":
        assert [stage.kernel for stage in stages] == [3, 3, 3]


def test_kernel_is_the_main_branchs():
    assert [stage.kernel for stage in build("efficientnet_lite0").stages()] == [5, 3, 5]


@with_backbone
def test_prefilters_see_the_levels_before_as_nchw(name):
    encoder = build(name)
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        before = encoder(images)
    keys = list(encoder.state_dict())
    recorders = [Recorder() for _ in range(3)]
    for stage, recorder in zip(encoder.stages(), recorders, strict=True):
        stage.insert_prefilter(recorder)
    with torch.no_grad():
        after = encoder(images)
        assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
        for level, recorder in zip(before[:-1], recorders, strict=True):
            assert recorder.shapes == [tuple(level.shape)]
        recorders[1].gain = 0.0
        changed = [not torch.equal(a, b) for a, b in zip(encoder(images), before, strict=True)]
    assert changed == [False, False, True, True]
    assert list(encoder.state_dict()) == keys


@pytest.mark.parametrize("name", [name for name, (*_, blocks) in BACKBONES.items() if blocks])
def test_mixers_work_on_every_block(name):
    *_, blocks = BACKBONES[name]
    encoder = build(name)
    keys = list(encoder.state_dict())
    mixers = []
    for stage, count in zip(encoder.stages(), blocks, strict=True):
        made = []
        stage.insert_mixers(lambda channels, made=made: made.append(Recorder()) or made[-1])
        assert len(made) == count
        mixers += made
    with torch.no_grad():
        encoder(torch.randn(1, 3, 64, 96))
    assert all(len(mixer.shapes) == 1 for mixer in mixers)
    assert list(encoder.state_dict()) == keys


def test_mixers_come_between_convolution_and_norm():
    encoder = build("resnet18")
    seen = []
    encoder.stages()[0].insert_mixers(lambda channels: seen.append(channels) or Recorder(gain=2.0))
    block = encoder.body.layer2[1]
    x = torch.randn(1, 128, 6, 6)
    hidden = block.act1(block.bn1(block.conv1(x)))
    convolved = nn.functional.conv2d(hidden, block.conv2.weight, padding=1)
    with torch.no_grad():
        torch.testing.assert_close(block(x), torch.relu(block.bn2(2 * convolved) + x))
    assert seen == [128, 128]


def test_equivalent_layer_gives_the_cutoff_of_the_paper():
    for stage in build("resnet50c").stages():
        assert DeAliasingFilter.before(stage.as_layer()).cutoff == pytest.approx(2**0.5 / 4)


@pytest.mark.parametrize("name", ["densenet121", "hrnet_w18_small"])
def test_other_backbones_are_refused(name):
    with torch.device("meta"):
        encoder = TimmEncoder(name)
    with pytest.raises(ValueError, match=r"stages of this backbone are not known: .*known: ResNet, .*Swin"):
        encoder.stages()


@pytest.mark.parametrize("name", [name for name, (*_, blocks) in BACKBONES.items() if blocks is None])
def test_blocks_without_a_place_for_a_mixer_are_refused(name):
    with pytest.raises(ValueError, match=rf"{BACKBONES[name][1]} has no place for a mixer; .*ConvNeXtBlock"):
        build(name).stages()[0].insert_mixers(lambda channels: Recorder())
