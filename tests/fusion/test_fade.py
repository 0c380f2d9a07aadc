# SPDX-License-Identifier: Apache-2.0
"""FADE: the semi-shift convolution, its two published orders, and the gate."""

import pytest
import torch
from torch.nn.functional import conv2d, interpolate, pad

from dealias.fusion import FADE
from dealias.ops import kernel_normalize, reassemble
from dealias.testing import assert_close


def maps(hr_channels=4, lr_channels=4):
    return (torch.randn(2, c, h, w, dtype=torch.float64) for c, h, w in ((hr_channels, 6, 10), (lr_channels, 3, 5)))


def upsampled(fusion, fine_logits, lr):
    coarse = interpolate(fusion.encoder(fusion.compress_lr(lr)), scale_factor=2, mode="nearest")
    return reassemble(lr, kernel_normalize(fine_logits + coarse, 5), scale=2)


@torch.no_grad()
@pytest.mark.parametrize("order", ["mmcv", "torch"])
def test_the_fine_guide_is_seen_through_four_shifted_copies(order):
    """Sub-pixel (a, b) is the convolution of the guide around (2i + a, 2j + b); the torch order mixes copies up."""
    fusion = FADE(4, 4, compressed_channels=8, gated=False, high_to_low=order).double()
    hr, lr = maps()
    guide = fusion.compress_hr(hr)
    copies = [pad(guide, (1 - b, b, 1 - a, a)) for a in (0, 1) for b in (0, 1)]
    if order == "torch":
        channels = torch.cat(copies, dim=1)
        copies = [channels[:, [4 * c + s for c in range(8)]] for s in range(4)]
    logits = torch.zeros(2, 25, 6, 10, dtype=torch.float64)
    for s, copy in enumerate(copies):
        logits[..., s // 2 :: 2, s % 2 :: 2] = conv2d(copy, fusion.encoder.weight, fusion.encoder.bias, stride=2)
    assert_close(fusion(hr, lr)[1], upsampled(fusion, logits, lr))


@torch.no_grad()
@pytest.mark.parametrize("hr_channels", [4, 6])
def test_the_gate_goes_from_the_kernels_to_the_fine_map(hr_channels):
    hr, lr = maps(hr_channels)
    gated = FADE(hr_channels, 4, compressed_channels=8).double()
    plain = FADE(hr_channels, 4, compressed_channels=8, gated=False).double()
    plain.load_state_dict({k: v for k, v in gated.state_dict().items() if not k.startswith(("gate.", "align."))})
    gated.gate.weight.zero_()
    fine = hr if gated.align is None else gated.align(hr)
    for bias, expected in ((-100.0, plain(hr, lr)[1]), (100.0, fine), (0.0, (plain(hr, lr)[1] + fine) / 2)):
        gated.gate.bias.fill_(bias)
        assert_close(gated(hr, lr)[1], expected)


def test_the_light_encoder_sees_each_tap_alone():
    fusion = FADE(4, 4, lite=True)
    assert fusion.encoder.weight.shape == (25, 1, 3, 3) and fusion.compress_hr.out_channels == 25
