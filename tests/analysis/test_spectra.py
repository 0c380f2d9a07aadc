# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
import torch

from dealias.analysis import aliasing_score, power_spectrum, radial_spectrum

SIZES = [(8, 8), (7, 9), (12, 5), (1, 16), (33, 33), (64, 48)]


def maps(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)) + 0.3


def intervals(size):
    """Each frequency of an axis as intervals that share its power; what lies beyond -0.5 is at the other end."""
    parts = []
    for k in range(size):
        low, high = ((k if k < (size + 1) // 2 else k - size) + d for d in (-0.5, 0.5))
        low, high = low / size, high / size
        pieces = [(low, high)] if low >= -0.5 - 1e-12 else [(-0.5, high), (low + 1, 0.5)]
        parts.append([(a, b, (b - a) * size) for a, b in pieces])
    return parts


def share_in(size, k, low, high):
    """Part of the power of frequency k in [low, high]."""
    found = 0.0
    for a, b, weight in intervals(size)[k]:
        if b > a:
            found += weight * max(0.0, min(b, high) - max(a, low)) / (b - a)
    return found


def shares(x):
    power = np.abs(np.fft.fft2(x.double().numpy())) ** 2
    return (power / power.sum((-2, -1), keepdims=True)).mean(1)


@pytest.mark.parametrize("size", SIZES[:4], ids=str)
def test_grid_against_loops(size):
    x, cells = maps(2, 3, *size), 5
    expected = np.zeros((2, cells, cells))
    for i, j in np.ndindex(cells, cells):
        for v, u in np.ndindex(*size):
            rows = share_in(size[0], v, i / cells - 0.5, (i + 1) / cells - 0.5)
            columns = share_in(size[1], u, j / cells - 0.5, (j + 1) / cells - 0.5)
            expected[:, i, j] += rows * columns * shares(x)[:, v, u]
    np.testing.assert_allclose(power_spectrum(x, cells).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("size", SIZES[:4], ids=str)
def test_rings_against_loops(size):
    x, bins = maps(2, 3, *size), 3
    inside = np.zeros((bins + 1, 2))
    for step in range(1, bins + 1):
        edge = 0.5 * step / bins
        for v, u in np.ndindex(*size):
            inside[step] += share_in(size[0], v, -edge, edge) * share_in(size[1], u, -edge, edge) * shares(x)[:, v, u]
    frequencies, found = radial_spectrum(x, bins)
    np.testing.assert_allclose(found.numpy(), np.diff(inside, axis=0).T, atol=1e-6)
    assert frequencies.tolist() == pytest.approx([1 / 12, 3 / 12, 5 / 12])


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_no_power_is_lost_and_spectra_are_symmetric(size):
    x = maps(2, 3, *size)
    spectrum, (_, rings) = power_spectrum(x), radial_spectrum(x)
    assert spectrum.shape == (2, 33, 33) and rings.shape == (2, 32)
    for found in (spectrum.sum((-2, -1)), rings.sum(-1)):
        assert found.tolist() == pytest.approx([1, 1], abs=1e-5)
    torch.testing.assert_close(spectrum, spectrum.flip(-1, -2), atol=1e-7, rtol=1e-5)
    assert spectrum.min() > -1e-12 and rings.min() > -1e-12


def test_channels_without_power_take_their_share():
    x = torch.cat([maps(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)], dim=1)
    assert power_spectrum(x).sum().item() == pytest.approx(0.75)


@pytest.mark.parametrize(("size", "cycles"), [((33, 66), (0, 20)), ((99, 33), (30, 4))])
def test_a_wave_is_where_its_frequency_is(size, cycles):
    """Sizes of which 33 is a divisor: the intervals of frequencies lie in whole cells."""
    rows, columns = (2 * math.pi * n / s * torch.arange(s) for n, s in zip(cycles, size, strict=True))
    x = torch.cos(rows[:, None] + columns)[None, None]
    spectrum = power_spectrum(x)[0]
    place = [16 + round(33 * n / s) for n, s in zip(cycles, size, strict=True)]
    assert spectrum[place[0], place[1]].item() == pytest.approx(spectrum.max().item())
    assert spectrum[place[0], place[1]] > 0.2
    assert power_spectrum(torch.ones(1, 1, *size))[0, 16, 16] == pytest.approx(1)
    frequencies, rings = radial_spectrum(x)
    distance = max(n / s for n, s in zip(cycles, size, strict=True))
    assert frequencies[rings[0].argmax()].item() == pytest.approx(distance, abs=1 / 64)


def test_rings_beyond_a_cutoff_add_up_to_the_score():
    """Where no frequency's interval crosses the cutoff: odd sizes, cutoff in the middle between two frequencies."""
    x = maps(3, 4, 45, 45)
    cutoff, bins = 0.5 * 23 / 45, 45
    _, rings = radial_spectrum(x, bins)
    torch.testing.assert_close(rings[:, 23:].sum(-1).float(), aliasing_score(x, cutoff), atol=1e-6, rtol=1e-5)


def test_maps_of_different_sizes_have_the_same_grid():
    x = torch.nn.functional.interpolate(maps(1, 8, 24, 24), size=(96, 96), mode="nearest")
    noise = [power_spectrum(torch.randn(1, 64, n, n), 9)[0] for n in (40, 64, 81)]
    for found in noise:
        torch.testing.assert_close(found, torch.full((9, 9), 1 / 81).double(), atol=0.002, rtol=0)
    assert power_spectrum(x, 9)[0, 4, 4] > 0.1


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"odd number of cells.*got 8"):
        power_spectrum(maps(1, 1, 4, 4), 8)
    with pytest.raises(ValueError, match=r"at least one ring.*got 0"):
        radial_spectrum(maps(1, 1, 4, 4), 0)
