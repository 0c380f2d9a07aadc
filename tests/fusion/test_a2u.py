# SPDX-License-Identifier: Apache-2.0
"""A2U against a loop over images, channels and pixels, and the range of its kernels."""

import math

import pytest
import torch

from dealias.fusion import A2U
from dealias.testing import assert_close


def pooled(hr, side):
    """Adaptive average pooling of hr [C, H, W]."""
    out = torch.zeros(hr.shape[0], side, side, dtype=hr.dtype)
    height, width = hr.shape[1:]
    for i in range(side):
        for j in range(side):
            rows = slice(i * height // side, -(-(i + 1) * height // side))
            columns = slice(j * width // side, -(-(j + 1) * width // side))
            out[:, i, j] = hr[:, rows, columns].mean((1, 2))
    return out


def response(hr, layer, norm, side):
    """``hr`` [C, H, W] under its own filter, normalised by group, after the leaky ReLU."""
    weight = layer.weight[:, :, 0, 0]
    filters = torch.einsum("oc,cij->oij", weight, pooled(hr, side)) + layer.bias[:, None, None]
    filters = filters.expand(hr.shape[0], side, side)
    before, (c, height, width) = (side - 1) // 2, hr.shape
    out = torch.zeros(c, height // 2, width // 2, dtype=hr.dtype)
    for i in range(height // 2):
        for j in range(width // 2):
            for a in range(side):
                for b in range(side):
                    y, x = 2 * i + a - before, 2 * j + b - before
                    if 0 <= y < height and 0 <= x < width:
                        out[:, i, j] += filters[:, a, b] * hr[:, y, x]
    groups = out.reshape(norm.num_groups, -1)
    groups = (groups - groups.mean(1, keepdim=True)) / (groups.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    out = groups.reshape(out.shape) * norm.weight[:, None, None] + norm.bias[:, None, None]
    return torch.where(out > 0, out, 0.01 * out)


@torch.no_grad()
@pytest.mark.parametrize(("shared", "side"), [(True, 6), (False, 3)])
def test_kernels_are_those_of_the_paper(shared, side):
    fusion = A2U(4, 3, encoder_kernel=side, shared=shared, norm_groups=2).double()
    for parameter in fusion.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    hr, lr = torch.randn(2, 4, 6, 8, dtype=torch.float64), torch.randn(2, 3, 3, 4, dtype=torch.float64)
    expected = torch.zeros(2, 3, 6, 8, dtype=torch.float64)
    for n in range(2):
        u = response(hr[n], fusion.filter_u, fusion.norm_u, side)
        v = response(hr[n], fusion.filter_v, fusion.norm_v, side)
        affinity = (u * v).sum(0) / math.sqrt(4)
        factors = fusion.taps.weight[:, :, 0, 0] @ hr[n].mean((1, 2)) + fusion.taps.bias
        for y in range(6):
            for x in range(8):
                sub_pixel = 2 * (y % 2) + x % 2
                kernel = torch.sigmoid(factors[sub_pixel::4] * affinity[y // 2, x // 2]).softmax(0)
                for t in range(9):
                    i, j = y // 2 + t // 3 - 1, x // 2 + t % 3 - 1
                    if 0 <= i < 3 and 0 <= j < 4:
                        expected[n, :, y, x] += kernel[t] * lr[n, :, i, j]
    assert_close(fusion(hr, lr)[1], expected)


@torch.no_grad()
def test_kernels_stay_near_the_mean():
    """With k*k taps no weight leaves 1 / (1 + (k*k - 1) e) to e / (e + k*k - 1)."""
    fusion = A2U(32, 8)
    hr = 100 * torch.randn(1, 32, 8, 8)
    kernels = fusion.kernels(hr, fusion.affinity(hr))
    assert_close(kernels.sum(1), torch.ones(1, 8, 8))
    assert 1 / (1 + 8 * math.e) <= kernels.min() and kernels.max() <= math.e / (math.e + 8)
