# SPDX-License-Identifier: Apache-2.0
"""The deformable convolution: a plain one at first, a loop over its taps afterwards."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dealias.modulation import ARS
from dealias.modulation.deform_conv import ARSDeformConv2d
from dealias.testing import assert_close, modules

CONVOLUTIONS = [
    {"stride": 1, "padding": 1},
    {"stride": 2, "padding": 1, "bias": False},
    {"stride": 2, "padding": 2, "dilation": 2, "groups": 2},
]


def make(options):
    return nn.Conv2d(4, 6, 3, **options)


def by_loops(conv, x):
    """Sample every tap of every window by hand, zeros outside."""
    _, warp, _ = conv.ars(x)
    centres, own = warp.map.detach().numpy(), conv.offsets(x).detach().numpy()
    weight, bias = conv.weight.detach().numpy(), conv.bias.detach().numpy()
    stride, dilation = conv.stride[0], conv.dilation[0]
    out = np.zeros((x.shape[0], conv.out_channels, *own.shape[2:]))
    for b, i, j in np.ndindex(x.shape[0], *own.shape[2:]):
        across, down = centres[b, :, i * stride, j * stride]
        for tap in range(9):
            y, z = down + (tap // 3 - 1) * dilation, across + (tap % 3 - 1) * dilation
            if tap != 4:
                learned = own[b, 2 * (tap - (tap > 4)) :, i, j]
                y, z = y + learned[0], z + learned[1]
            out[b, :, i, j] += weight[:, :, tap // 3, tap % 3] @ bilinear(x[b].numpy(), y, z)
    return torch.from_numpy(out + bias[:, None, None])


def bilinear(image, y, x):
    value = np.zeros(len(image))
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            if 0 <= row < image.shape[1] and 0 <= column < image.shape[2]:
                value += (1 - abs(y - row)) * (1 - abs(x - column)) * image[:, row, column]
    return value


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("size", [(1, 1), (8, 12), (9, 7)], ids=str)
def test_starts_as_the_convolution(options, size):
    conv, x = make(options), torch.randn(2, 4, *size)
    deformable = ARSDeformConv2d.of(conv, sigma=2.0)
    expected = conv(x)
    assert (deformable(x) - expected).abs().max() < 1e-3 * expected.abs().max()
    assert deformable.weight is conv.weight and deformable.ars.window == 17


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"stride": 2, "dilation": 2}], ids=str)
def test_equals_a_loop_over_the_taps(stir, options):
    conv = stir(ARSDeformConv2d(4, 3, **options)).double()
    x = torch.randn(2, 4, 8, 7, dtype=torch.float64)
    assert_close(conv(x), by_loops(conv, x))


def test_loads_the_weights_of_a_plain_convolution():
    conv, deformable = make(CONVOLUTIONS[0]), ARSDeformConv2d(4, 6)
    missing, unexpected = deformable.load_state_dict(conv.state_dict(), strict=False)
    assert not unexpected and all(key.startswith(("ars.", "offsets.")) for key in missing)
    x = torch.randn(1, 4, 9, 9)
    assert (deformable(x) - conv(x)).abs().max() < 1e-3


def test_every_gradient(stir):
    modules.check_gradients(stir(ARSDeformConv2d(8, 6, stride=2)), [torch.randn(2, 8, 9, 10)])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_and_autocast(dtype):
    conv = ARSDeformConv2d(8, 6)
    x = torch.randn(1, 8, 10, 11).to(dtype)
    expected = F.conv2d(x.float(), conv.weight, conv.bias, padding=1)
    half = copy.deepcopy(conv).to(dtype)(x)
    assert half.dtype == dtype
    assert_close(half, expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_close(conv(x.float()), expected, torch.bfloat16)


def test_full_graph_compile(stir):
    sizes = ((9, 12), (13, 8))
    module = stir(ARSDeformConv2d(8, 6, stride=2))
    modules.check_compile(module, [[torch.randn(1, 8, *size)] for size in sizes])


def test_attention_can_be_read_by_a_hook():
    conv, seen = ARSDeformConv2d(8, 6), []
    conv.ars.attention.register_forward_hook(lambda module, arguments, output: seen.append(output))
    conv(torch.randn(1, 8, 5, 6))
    assert [tuple(attention.shape) for attention in seen] == [(1, 1, 5, 6)]


@pytest.mark.parametrize(
    "conv",
    [nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, stride=(1, 2), padding=1)],
    ids=["1x1", "no-padding", "uneven-stride"],
)
def test_other_convolutions_are_refused(conv):
    with pytest.raises(ValueError, match=r"ARSDeformConv2d: needs a .* got Conv2d\(4, 4"):
        ARSDeformConv2d.of(conv)


def test_an_ars_for_other_channels_is_refused():
    with pytest.raises(ValueError, match="for 4 channels, is for 8"):
        ARSDeformConv2d(4, 6, ars=ARS(8))
