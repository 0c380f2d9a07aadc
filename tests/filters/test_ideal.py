# SPDX-License-Identifier: Apache-2.0
"""De-aliasing filter and FLC pooling against numpy's transform, with sines, and their cut-offs before real layers."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from dealias.filters import DeAliasingFilter, FrequencyLowCut, crop_spectrum
from dealias.testing import assert_close


def masked(x, cutoff):
    """The square mask on numpy's spectrum."""
    rows, columns = (np.abs(np.fft.fftfreq(size)) <= cutoff for size in x.shape[-2:])
    return torch.from_numpy(np.fft.ifft2(np.fft.fft2(x.numpy()) * (rows[:, None] & columns)).real)


@pytest.mark.parametrize("size", [(16, 12), (9, 7), (10, 15), (1, 4)])
def test_equal_masks_on_the_spectrum(size):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    assert_close(DeAliasingFilter(3)(x), masked(x, math.sqrt(2) / 4))
    assert_close(DeAliasingFilter(3, cutoff=0.2)(x), masked(x, 0.2))
    for stride in (1, 2, 3, 4):
        assert_close(FrequencyLowCut(3, stride)(x), masked(x, 0.5 / stride))


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("cutoff", [None, 0.35])
@pytest.mark.parametrize("size", [80, 100])
def test_a_sine_below_the_nyquist_frequency_stays_and_one_above_it_goes(size, cutoff, released):
    daf = DeAliasingFilter(1, cutoff=cutoff, released=released)
    place = torch.arange(size)
    for axis in (2, 3):
        low, high = (torch.sin(2 * math.pi * f * place + 0.7).expand(1, 1, size, size) for f in (0.3, 0.4))
        low, high = (x if axis == 3 else x.mT for x in (low, high))
        assert (daf(low) - low).abs().max() < 1e-5
        assert daf(high).abs().max() < 1e-5
        assert (daf(low + high) - low).abs().max() < 1e-5


def test_nothing_folds_after_the_low_cut():
    x = torch.randn(1, 1, 32, 24, dtype=torch.float64)
    filtered = FrequencyLowCut(1)(x)
    sampled = torch.fft.fft2(filtered[..., ::2, ::2]) * 4
    spectrum = torch.fft.fft2(x)
    for ky in range(-7, 8):
        for kx in range(-5, 6):
            assert abs(sampled[0, 0, ky, kx] - spectrum[0, 0, ky, kx]) < 1e-9


@pytest.mark.parametrize("size", [(16, 12), (13, 9), (10, 7), (6, 11)])
def test_the_crop_keeps_the_middle_of_the_spectrum(size):
    x = torch.randn(2, 2, *size, dtype=torch.float64)
    rows, columns = (slice(int(n / 4), int(3 * n / 4)) for n in size)
    kept = np.fft.fftshift(np.fft.fft2(x.numpy()), axes=(2, 3))[..., rows, columns]
    expected = np.fft.ifft2(np.fft.ifftshift(kept, axes=(2, 3))).real * kept[0, 0].size / (size[0] * size[1])
    assert_close(crop_spectrum(x), torch.from_numpy(expected))
    assert crop_spectrum(x.half()).dtype == torch.float16


def test_the_crop_keeps_constants_only_where_it_is_centred():
    assert_close(crop_spectrum(torch.full((1, 1, 8, 9), 3.0)), torch.full((1, 1, 4, 4), 3.0))
    assert_close(crop_spectrum(torch.full((1, 1, 8, 6), 3.0))[0, 0, 0], torch.tensor([3.0, -1.5, -1.5]))


def test_cutoffs_follow_from_the_layer():
    def cutoff(layer, **options):
        return DeAliasingFilter.before(layer, **options).cutoff

    assert cutoff(nn.Conv2d(64, 128, 3, stride=2)) == pytest.approx(math.sqrt(2) / 4)
    assert cutoff(nn.Conv2d(64, 64, 3, stride=2)) == 0.25
    assert cutoff(nn.Conv2d(256, 512, 1, stride=2)) == 0.25  # a 1x1 kernel sees one sample of four
    assert cutoff(nn.Conv2d(3, 64, 7, stride=2)) == 0.5  # 64 channels hold more than every sample of 3
    assert cutoff(nn.Conv2d(96, 192, 2, stride=4)) == pytest.approx(math.sqrt(2) / 8)
    for options in ({}, {"channels": 64}):
        assert cutoff(nn.MaxPool2d(3, stride=2), **options) == 0.25
        assert cutoff(nn.AvgPool2d(4), **options) == 0.125
    assert cutoff(nn.Conv2d(64, 128, 3, stride=2), cutoff=0.1) == 0.1
    assert DeAliasingFilter(64, kernel_size=3, out_channels=64).cutoff == 0.25


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DeAliasingFilter(4, cutoff=0.6), "0-0.5 cycles per sample, got 0.6"),
        (lambda: DeAliasingFilter(4, kernel_size=0), "kernel=0"),
        (lambda: DeAliasingFilter(4, out_channels=0), "out_channels=0"),
        (lambda: crop_spectrum(torch.zeros(1, 1, 1, 4)), r"\(1, 1, 1, 4\)"),
        (lambda: crop_spectrum(torch.zeros(1, 4, 4)), "B, C, H, W"),
    ],
)
def test_wrong_options_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
