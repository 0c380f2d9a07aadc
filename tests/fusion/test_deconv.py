# SPDX-License-Identifier: Apache-2.0
"""Deconvolution and PixelShuffle against loops over pixels and weights."""

import torch

from dealias.fusion import Deconv, PixelShuffle
from dealias.testing import assert_close


def inputs(fusion):
    lr = torch.randn(1, 2, 3, 4, dtype=torch.float64)
    return torch.randn(1, 5, 6, 8, dtype=torch.float64), lr, fusion.double()


@torch.no_grad()
def test_deconv_spreads_every_pixel_over_three():
    hr, lr, fusion = inputs(Deconv(5, 2))
    weight, bias = fusion.spread.weight, fusion.spread.bias
    expected = bias.reshape(1, 2, 1, 1).repeat(1, 1, 6, 8)
    for i in range(3):
        for j in range(4):
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    y, x = 2 * i + dy, 2 * j + dx
                    if 0 <= y < 6 and 0 <= x < 8:
                        expected[0, :, y, x] += lr[0, :, i, j] @ weight[:, :, dy + 1, dx + 1]
    assert_close(fusion(hr, lr)[1], expected)


@torch.no_grad()
def test_pixel_shuffle_gives_each_sub_pixel_its_own_filter():
    hr, lr, fusion = inputs(PixelShuffle(5, 2))
    weight, bias = fusion.expand.weight, fusion.expand.bias
    padded = torch.nn.functional.pad(lr, (1, 1, 1, 1))
    expected = torch.zeros(1, 2, 6, 8, dtype=torch.float64)
    for c in range(2):
        for y in range(6):
            for x in range(8):
                filter_number = 4 * c + 2 * (y % 2) + x % 2
                window = padded[0, :, y // 2 : y // 2 + 3, x // 2 : x // 2 + 3]
                expected[0, c, y, x] = (weight[filter_number] * window).sum() + bias[filter_number]
    assert_close(fusion(hr, lr)[1], expected)
