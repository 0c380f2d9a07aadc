# SPDX-License-Identifier: Apache-2.0
"""FreqMix against complex spectra in numpy, written from the paper and the README of the recorded numbers."""

from unittest.mock import patch

import numpy as np
import pytest
import torch
from scipy.signal import correlate

from dealias.mixing import FreqMix
from dealias.mixing import freqmix as module_file
from dealias.testing import assert_close

SHAPES = [(1, 8, 12, 16), (3, 7, 9, 13), (2, 5, 10, 7), (4, 3, 2, 6), (3, 4, 1, 1), (2, 3, 1, 5)]
RELEASED = pytest.mark.parametrize("released", [False, True], ids=["corrected", "released"])


def random_mix(channels, released, **options):
    """In float64, with weights that matter everywhere."""
    mix = FreqMix(channels, released=released, **options).double()
    for parameter in mix.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return mix


def oracle(mix, x):
    """The defining sums over the complex spectrum, sample after sample as far as the published roll allows."""
    weights = {name: value.detach().numpy() for name, value in mix.state_dict().items()}
    x = x.detach().numpy()
    spectrum = np.fft.fftshift(np.fft.fft2(x))  # all four axes, as published
    kept = mask(x.shape[-2], mix.cutoff, mix.released)[:, None] * mask(x.shape[-1], mix.cutoff, mix.released)
    bands = {"low": spectrum * kept, "high": spectrum * (1 - kept)}
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    mixed = np.zeros_like(x)
    for index, (name, band) in enumerate(bands.items()):
        values = np.fft.ifft2(np.fft.ifftshift(band)).real
        if mix.released:
            real, imaginary = band.real.mean((2, 3)), band.imag.mean((2, 3))
        else:
            real = imaginary = np.abs(values).mean((2, 3))
        gates = np.sqrt(attention(weights, name, real) ** 2 + attention(weights, name, imaginary) ** 2 + 1e-8)
        for sample in range(len(x)):
            kernel, bias = weights["spatial.weight"][index], weights["spatial.bias"][index]
            spatial = sigmoid(correlate(padded[sample], kernel, mode="valid")[0] + bias)
            mixed[sample] += spatial * gates[sample][:, None, None] * values[sample]
    return torch.from_numpy(mixed)


def mask(size, cutoff, released):
    if not released:
        return (np.abs(np.fft.fftshift(np.fft.fftfreq(size))) <= cutoff).astype(float)
    kept = np.zeros(size)
    kept[round(size / 2 - size * cutoff) : round(size / 2 + size * cutoff)] = 1
    return kept


def attention(weights, name, mean):
    first, second = (weights[f"{name}_gate.{layer}.weight"][:, :, 0, 0] for layer in (0, 2))
    hidden = np.maximum(mean @ first.T + weights[f"{name}_gate.0.bias"], 0)
    return sigmoid(hidden @ second.T + weights[f"{name}_gate.2.bias"])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@RELEASED
@pytest.mark.parametrize("cutoff", [0.35, 0.2])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_complex_spectra(shape, cutoff, released):
    mix = random_mix(shape[1], released, cutoff=cutoff, reduction=2)
    x = torch.randn(shape, dtype=torch.float64)
    assert_close(mix(x), oracle(mix, x))


def test_corrected_form_sees_one_sample_only():
    mix = random_mix(6, released=False, reduction=2).float()
    x, order = torch.randn(4, 6, 11, 8), torch.tensor([2, 0, 3, 1])
    mixed = mix(x)
    assert (mix(x[order]) - mixed[order]).abs().max() < 1e-6
    assert (mix(x[:1]) - mixed[:1]).abs().max() < 1e-6


def test_released_form_depends_on_the_place_in_the_batch():
    mix = random_mix(6, released=True, reduction=2)
    x, order = torch.randn(4, 6, 11, 8, dtype=torch.float64), torch.tensor([2, 0, 3, 1])
    mixed = mix(x)
    assert (mix(x[order]) - mixed[order]).abs().max() > 1e-2
    other = torch.cat([x[:2], x[2:] + torch.eye(11, 8, dtype=torch.float64)])
    assert (mix(other)[:1] - mixed[:1]).abs().max() > 1e-3  # sample 0 is gated by sample 2


@RELEASED
def test_gradients(released):
    mix = random_mix(4, released, reduction=2)
    x = torch.randn(2, 4, 6, 5, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in mix.named_parameters()]

    def mixed(x, *parameters):
        return torch.func.functional_call(mix, dict(zip(names, parameters, strict=True)), x)

    assert torch.autograd.gradcheck(mixed, (x, *mix.parameters()))


@RELEASED
@pytest.mark.parametrize("channels", [3, 64, 256])
def test_starts_as_the_identity(channels, released):
    x = torch.randn(2, channels, 14, 15)
    error = (FreqMix(channels, released=released)(x) - x).square().mean().sqrt()
    assert error < 0.02


@RELEASED
def test_the_bands_share_one_transform(released):
    with patch.object(module_file, "low_pass", wraps=module_file.low_pass) as low_pass:
        FreqMix(4, released=released)(torch.randn(1, 4, 8, 8))
    assert low_pass.call_count == 1


def test_parameters_are_the_published_ones():
    for channels, hidden in ((128, 8), (256, 16), (8, 1)):
        gate = channels * hidden + hidden + hidden * channels + channels
        assert sum(p.numel() for p in FreqMix(channels).parameters()) == 18 * channels + 2 + 2 * gate
