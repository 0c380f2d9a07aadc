# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dealias.fusion import Nearest, create_fusion
from dealias.heads import Classifier, ConvNormAct, FCNHead, FPNHead, PSPHead, PyramidPooling, UPerHead, resize

CHANNELS = (6, 8, 10, 12)
SIZES = [(17, 25), (9, 13), (5, 7), (3, 4)]


def identity(channels):
    return nn.Identity()


def pyramid():
    return [torch.randn(2, c, *size) for c, size in zip(CHANNELS, SIZES, strict=True)]


def conv(x, block):
    """The block's convolution and ReLU with a zero border, without its own forward."""
    weight = block[0].weight
    return F.conv2d(x, weight, padding=weight.shape[-1] // 2).clamp(min=0)


def test_resize_takes_half_pixel_centres():
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    expected = torch.tensor([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])  # (i + 0.5) / 2 - 0.5, border repeated
    torch.testing.assert_close(resize(ramp, (8, 8))[0, 0, 3], expected)


def test_conv_norm_act_layers_and_initial_scale():
    torch.manual_seed(0)
    block = ConvNormAct(64, 128)
    assert isinstance(block[1], nn.BatchNorm2d)
    assert block[0].bias is None
    assert block[0].weight.std().item() == pytest.approx(math.sqrt(2 / (128 * 9)), rel=0.02)
    out = block(torch.randn(2, 64, 5, 7))
    assert out.shape == (2, 128, 5, 7)
    assert out.min() == 0


def test_classifier_starts_undecided_and_drops_whole_channels():
    torch.manual_seed(0)
    head = Classifier(64, 5, dropout=0.5)
    assert head(torch.randn(1, 64, 4, 4)).softmax(1).sub(0.2).abs().max() < 0.1
    dropped = head[0](torch.ones(1, 64, 4, 4))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(dropped.amax((-2, -1)), dropped.amin((-2, -1)))
    assert torch.equal(head.eval()[0](torch.ones(1, 64, 4, 4)), torch.ones(1, 64, 4, 4))


def test_pyramid_pooling_averages_over_bins():
    pooling = PyramidPooling(3, 4, bins=(1, 2, 3), norm=identity)
    x = torch.randn(2, 3, 7, 5)
    parts = [x]
    for n, branch in zip((1, 2, 3), pooling.branches, strict=True):
        bins = torch.empty(2, 3, n, n)
        for i in range(n):
            for j in range(n):  # bins overlap where n does not divide the size
                rows = slice(i * 7 // n, -(-(i + 1) * 7 // n))
                columns = slice(j * 5 // n, -(-(j + 1) * 5 // n))
                bins[..., i, j] = x[..., rows, columns].mean((-2, -1))
        parts.append(F.interpolate(conv(bins, branch), size=(7, 5), mode="bilinear", align_corners=False))
    torch.testing.assert_close(pooling(x), conv(torch.cat(parts, 1), pooling.fuse))


def test_upernet_default_bins_are_those_of_the_paper():
    assert UPerHead(CHANNELS, 5, Nearest, width=4).pooling.bins == (1, 2, 3, 6)


def test_upernet_wiring():
    head = UPerHead(CHANNELS, 5, Nearest, width=4, norm=identity).eval()
    features = pyramid()
    levels = [conv(x, block) for x, block in zip(features[:3], head.laterals, strict=True)]
    levels.append(head.pooling(features[3]))
    for i in (2, 1, 0):
        levels[i] = levels[i] + F.interpolate(levels[i + 1], size=SIZES[i], mode="nearest")
    smooth = [conv(x, block) for x, block in zip(levels[:3], head.smooth, strict=True)] + [levels[3]]
    same = [F.interpolate(x, size=SIZES[0], mode="bilinear", align_corners=False) for x in smooth]
    fused = conv(torch.cat(same, 1), head.fuse)
    expected = F.conv2d(fused, head.classifier[1].weight, head.classifier[1].bias)
    torch.testing.assert_close(head(features), expected)


def test_fpn_wiring():
    head = FPNHead(CHANNELS, 5, Nearest, width=4, norm=identity).eval()
    features = pyramid()
    finest = conv(head.neck(features)[0], head.smooth)
    torch.testing.assert_close(head(features), F.conv2d(finest, head.classifier[1].weight, head.classifier[1].bias))


@pytest.mark.parametrize("level", [1, 2])
def test_fcn_uses_one_level(level):
    head = FCNHead(CHANNELS, 5, width=4, level=level, norm=identity).eval()
    features = pyramid()
    expected = F.conv2d(conv(features[level], head.conv), head.classifier[1].weight, head.classifier[1].bias)
    torch.testing.assert_close(head(features), expected)


def test_fcn_as_a_decoder_has_a_second_convolution():
    head = FCNHead(CHANNELS, 5, width=4, level=3, norm=identity, depth=2).eval()
    features = pyramid()
    embedded = conv(conv(features[3], head.conv), head.further[0])
    torch.testing.assert_close(head.embed(features), embedded)
    torch.testing.assert_close(head(features), F.conv2d(embedded, head.classifier[1].weight, head.classifier[1].bias))


def test_pspnet_wiring():
    head = PSPHead(CHANNELS, 5, width=4, norm=identity).eval()
    assert head.pooling.bins == (1, 2, 3, 6)
    features = pyramid()
    context = head.pooling(features[3])
    expected = F.conv2d(context, head.classifier[1].weight, head.classifier[1].bias)
    torch.testing.assert_close(head(features), expected)
    torch.testing.assert_close(head([*[torch.zeros(1)] * 3, features[3]]), expected)


@pytest.mark.parametrize("head", [UPerHead, FPNHead])
def test_seed_gives_the_same_other_weights_whatever_the_fusion(head):
    def build(name):
        torch.manual_seed(3)
        return head(CHANNELS, 5, lambda hr, lr: create_fusion(name, hr, lr), width=16).state_dict()

    plain, fused = build("nearest"), build("freqfusion")
    assert len(fused) > len(plain)
    assert all(torch.equal(fused[key], value) for key, value in plain.items())


@pytest.mark.parametrize("head", [UPerHead, FPNHead])
def test_fusions_keep_their_own_initial_weights(head):
    torch.manual_seed(3)
    made = []

    def factory(hr_channels, lr_channels):
        fusion = create_fusion("freqfusion", hr_channels, lr_channels)
        made.append((fusion, {k: v.clone() for k, v in fusion.state_dict().items()}))
        return fusion

    head(CHANNELS, 5, factory, width=16)
    assert len(made) == 3
    for fusion, start in made:
        assert all(torch.equal(value, start[key]) for key, value in fusion.state_dict().items())


def test_another_normalisation():
    head = UPerHead(CHANNELS, 5, Nearest, width=8, norm=lambda channels: nn.GroupNorm(4, channels))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in head.modules())
    assert head.train()(pyramid()).shape == (2, 5, 17, 25)
