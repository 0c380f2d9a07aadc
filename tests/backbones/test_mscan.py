# SPDX-License-Identifier: Apache-2.0
"""MSCAN against sums written out, and as an encoder."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate
from scipy.special import erf
from torch import nn

from dealias.backbones import MSCAN, STRIDES, TimmEncoder, create_encoder, create_mscan
from dealias.backbones.mscan import Attention, MSCANBlock

SMALL = {"channels": (8, 12, 16, 20), "depths": (1, 2, 1, 1), "mlp_ratios": (2, 2, 2, 2)}


def small(**arguments):
    return create_mscan("mscan_t", options=SMALL, **arguments)


def pointwise(x, conv):
    weight, bias = (p.detach().numpy() for p in (conv.weight, conv.bias))
    return np.einsum("oc,chw->ohw", weight[:, :, 0, 0], x) + bias[:, None, None]


def depthwise(x, conv):
    weight, bias = (p.detach().numpy() for p in (conv.weight, conv.bias))
    filtered = [correlate(plane, kernel[0], mode="constant") for plane, kernel in zip(x, weight, strict=True)]
    return np.stack(filtered) + bias[:, None, None]


def gelu(x):
    return x * (1 + erf(x / 2**0.5)) / 2


def test_attention():
    module = Attention(5).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = torch.randn(1, 5, 9, 26, dtype=torch.float64)
    entered = gelu(pointwise(x[0].numpy(), module.enter))
    local = depthwise(entered, module.local)
    strips = [depthwise(depthwise(local, along), across) for along, across in module.strips]
    sides = [(along.kernel_size, across.kernel_size) for along, across in module.strips]
    assert sides == [((1, side), (side, 1)) for side in (7, 11, 21)]
    expected = x[0].numpy() + pointwise(entered * pointwise(local + sum(strips), module.mix), module.leave)
    np.testing.assert_allclose(module(x)[0].detach().numpy(), expected, rtol=1e-10)


def test_block():
    block = MSCANBlock(4, mlp_ratio=3).double().eval()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    block.norm2.running_mean.normal_()
    x = torch.randn(1, 4, 6, 7, dtype=torch.float64)
    with torch.no_grad():
        middle = x + block.scale1.gamma[:, None, None] * block.attention(block.norm1(x))
        first, spatial, _, last = block.mlp
        hidden = gelu(depthwise(pointwise(block.norm2(middle)[0].numpy(), first), spatial))
        expected = middle[0].numpy() + block.scale2.gamma.numpy()[:, None, None] * pointwise(hidden, last)
        np.testing.assert_allclose(block(x)[0].numpy(), expected, rtol=1e-10)


def test_levels_are_normalised_over_channels_and_feed_the_next():
    encoder = small().eval()
    with torch.no_grad():
        maps = encoder(torch.randn(2, 3, 64, 96))
        for x, y, level in zip(maps, maps[1:], encoder.levels[1:], strict=False):
            torch.testing.assert_close(level(x), y)
    for x in maps:
        torch.testing.assert_close(x.mean(1), torch.zeros_like(x[:, 0]), rtol=0, atol=1e-4)
        assert (x.var(1, correction=0) - 1).abs().max() < 0.05


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (97, 75), (1, 5)])
def test_maps_have_the_size_rounded_up(size):
    encoder = small().eval()
    for x, channels, stride in zip(encoder(torch.randn(1, 3, *size)), SMALL["channels"], STRIDES, strict=True):
        assert x.shape == (1, channels, *(-(-side // stride) for side in size))


def test_initial_weights_keep_the_variance_of_gradients():
    encoder = create_mscan("mscan_t")
    block = encoder.levels[3].blocks[0]
    for conv, fan_out in ((block.mlp[0], 1024), (block.mlp[1], 9), (block.attention.strips[2][0], 21)):
        assert conv.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)
        assert not conv.bias.any()
    assert block.scale1.gamma.unique().tolist() == pytest.approx([0.01])


def test_drop_path_rises_to_its_rate_and_works_in_training_only():
    encoder = small(drop_path_rate=0.8)
    rates = [block.drop_path.drop_prob for level in encoder.levels for block in level.blocks]
    assert rates == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    for parameter in (p for name, p in encoder.named_parameters() if "gamma" in name):
        nn.init.ones_(parameter)
    images = torch.randn(2, 3, 32, 32)
    assert not torch.equal(encoder(images)[-1], encoder(images)[-1])
    encoder.eval()
    assert torch.equal(encoder(images)[-1], encoder(images)[-1])


def test_training_takes_single_images():
    encoder = small().train()
    maps = encoder(torch.randn(1, 3, 64, 64))
    sum(x.square().sum() for x in maps).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())


def test_stages_take_prefilters_but_no_mixers():
    encoder = small().eval()
    images, keys = torch.randn(1, 3, 64, 96), list(encoder.state_dict())
    before, seen = encoder(images), []

    class Recorder(nn.Module):
        def forward(self, x):
            seen.append(x)
            return x

    for stage, inputs, outputs in zip(encoder.stages(), SMALL["channels"], SMALL["channels"][1:], strict=False):
        assert (stage.in_channels, stage.out_channels, stage.kernel, stage.stride) == (inputs, outputs, 3, 2)
        stage.insert_prefilter(Recorder())
        with pytest.raises(ValueError, match="MSCANLevel has no place for a mixer"):
            stage.insert_mixers(lambda channels: nn.Identity())
    after = encoder(images)
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(seen, before, strict=False)) and len(seen) == 3
    assert list(encoder.state_dict()) == keys


def test_encoders_by_name():
    assert isinstance(create_encoder("mscan_t", options=SMALL), MSCAN)
    assert isinstance(create_encoder("test_resnet"), TimmEncoder)
    assert create_encoder("mscan_t", in_channels=5, options=SMALL).in_channels == 5


def test_weights_from_a_file(tmp_path):
    source = small()
    torch.save({"state_dict": source.state_dict(), "epoch": 3}, tmp_path / "mscan.pth")
    images = torch.randn(1, 3, 64, 64)
    loaded = create_encoder("mscan_t", str(tmp_path / "mscan.pth"), options=SMALL).eval()
    assert torch.equal(loaded(images)[-1], source.eval()(images)[-1])
    gray = create_encoder("mscan_t", str(tmp_path / "mscan.pth"), in_channels=1, options=SMALL)
    first = source.levels[0].embed[0].weight
    torch.testing.assert_close(gray.levels[0].embed[0].weight, first.sum(1, keepdim=True))
    weights = source.state_dict()
    weights["extra"] = weights.pop("levels.1.norm.bias")
    torch.save(weights, tmp_path / "wrong.pth")
    expected = r"wrong\.pth does not fit 'mscan_t': unknown extra; missing levels\.1\.norm\.bias$"
    with pytest.raises(ValueError, match=expected):
        create_encoder("mscan_t", str(tmp_path / "wrong.pth"), options=SMALL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mscan_x"}, "unknown MSCAN 'mscan_x'; known: mscan_t, mscan_s, mscan_b, mscan_l"),
        ({"options": {"depth": 3}}, "'mscan_t' has no option depth; it accepts: channels, depths, mlp_ratios"),
        ({"options": {"depths": (1, 1)}}, r"needs 4 levels, got .*\(1, 1\)"),
        ({"drop_path_rate": 1.0}, r"drop_path_rate must be in \[0, 1\), got 1.0"),
        ({"weights": "imagenet"}, "no weights to download for 'mscan_t'"),
        ({"weights": "absent.pth"}, "an existing file .*absent.pth"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        create_encoder(**{"name": "mscan_t", **arguments})
