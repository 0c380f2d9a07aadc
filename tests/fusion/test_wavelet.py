# SPDX-License-Identifier: Apache-2.0
"""The wavelet split against loops, PyWavelets and its own inverse."""

import math
import sys

import numpy as np
import pytest
import torch

from dealias.fusion.wavelet import WaveletSplit, orthogonal_taps
from dealias.testing import assert_close

ROOT = math.sqrt(3)
DB2 = [tap / math.sqrt(32) for tap in (1 + ROOT, 3 + ROOT, 3 - ROOT, 1 - ROOT)]
"""Daubechies' four taps in closed form."""


def split(wavelet, x):
    """The four bands of ``x``, [B, C, 4, h, w]: low, vertical, horizontal, diagonal."""
    low, details = WaveletSplit(wavelet)(x)
    return torch.cat([low[:, :, None], details.unflatten(1, (-1, 3))], dim=2)


@pytest.mark.parametrize("size", [(6, 8), (7, 8), (6, 5), (1, 1), (1, 4)])
def test_haar_is_sums_and_differences_of_two_by_two_pixels(size):
    x = torch.randn(2, 3, *size)
    padded = np.pad(x.numpy(), [(0, 0), (0, 0), (0, size[0] % 2), (0, size[1] % 2)])
    bands = split("haar", x)
    assert bands.shape == (2, 3, 4, math.ceil(size[0] / 2), math.ceil(size[1] / 2))
    for row, column in np.ndindex(*bands.shape[-2:]):
        block = padded[..., 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        (a, b), (c, d) = np.moveaxis(block, (2, 3), (0, 1))
        expected = [a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d]
        assert np.allclose(bands[..., row, column].numpy(), np.stack(expected, axis=-1) / 2, rtol=0, atol=1e-6)


@pytest.mark.parametrize("wavelet", ["haar", DB2], ids=["haar", "db2"])
def test_every_coefficient_is_a_sum_around_its_pixels(wavelet):
    x = torch.randn(7, 8)
    low = orthogonal_taps(wavelet)
    high = [(-1) ** i * tap for i, tap in enumerate(reversed(low))]
    bands = split(wavelet, x[None, None])[0, 0]
    for band, (v, h) in enumerate([(low, low), (high, low), (low, high), (high, high)]):
        for k, m in np.ndindex(*bands.shape[1:]):
            total = 0.0
            for i, j in np.ndindex(len(low), len(low)):
                row, column = 2 * k + 1 - len(low) // 2 + i, 2 * m + 1 - len(low) // 2 + j
                if 0 <= row < 7 and 0 <= column < 8:
                    total += v[i] * h[j] * x[row, column].item()
            assert bands[band, k, m].item() == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize(("wavelet", "border"), [("haar", 0), (DB2, 2)], ids=["haar", "db2"])
def test_the_adjoint_reconstructs(wavelet, border):
    """An orthonormal transform keeps energy, and its transpose is its inverse; both away from the zero border."""
    inner = (..., slice(border, 12 - border), slice(border, 10 - border))
    x = torch.zeros(1, 2, 12, 10)
    x[inner] = torch.randn(x[inner].shape)
    x.requires_grad_()
    bands = split(wavelet, x)
    assert_close(bands.square().sum(), x.square().sum())
    (back,) = torch.autograd.grad(bands, x, bands.detach())
    assert_close(back[inner], x[inner])


def test_details_of_a_constant_are_zero_inside():
    low, details = WaveletSplit(DB2)(torch.full((1, 2, 12, 12), 3.0))
    assert_close(low[..., 1:-1, 1:-1], torch.full((1, 2, 4, 4), 6.0))
    assert details[..., 1:-1, 1:-1].abs().max() < 1e-6


@pytest.mark.parametrize("name", ["haar", "db2", "db3", "sym4", "coif1"])
def test_names_are_those_of_pywavelets(name):
    """Its windows start at even pixels, these are centred: for 4, 8, ... taps they lie one pixel apart."""
    pywt = pytest.importorskip("pywt", reason="names other than haar come from PyWavelets")
    x = torch.randn(14, 16)
    taps = len(orthogonal_taps(name))
    shift = (taps // 2 - 1) % 2
    moved = np.pad(x.numpy(), ((shift, 0), (shift, 0)))
    low, (vertical, horizontal, diagonal) = pywt.dwt2(moved, name, mode="zero")
    first = (taps // 2 - 1 + shift) // 2
    inside = (slice(first, first + 7), slice(first, first + 8))
    expected = np.stack([band[inside] for band in (low, vertical, horizontal, diagonal)])
    assert_close(split(name, x[None, None])[0, 0], torch.from_numpy(expected))


@pytest.mark.parametrize("name", ["bior2.2", "morl", "harr"])
def test_other_names_are_refused(name):
    pytest.importorskip("pywt", reason="names other than haar come from PyWavelets")
    with pytest.raises(ValueError, match=f"unknown orthogonal wavelet '{name}'; known: .*db2.*sym8"):
        WaveletSplit(name)


def test_a_name_without_pywavelets(monkeypatch):
    monkeypatch.setitem(sys.modules, "pywt", None)
    assert WaveletSplit("haar").low.tolist() == pytest.approx([math.sqrt(0.5)] * 2)
    with pytest.raises(ValueError, match=r"'db2' is not 'haar' and needs PyWavelets \(pip install"):
        WaveletSplit("db2")


@pytest.mark.parametrize("taps", [[], [0.5, 0.5], [math.sqrt(0.5), -math.sqrt(0.5)], [*DB2, 0.0], [0.3, 0.4, 0.4, 0.3]])
def test_taps_that_are_not_orthonormal_are_refused(taps):
    with pytest.raises(ValueError, match="orthonormal to their even shifts"):
        WaveletSplit(taps)
