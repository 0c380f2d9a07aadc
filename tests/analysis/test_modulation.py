# SPDX-License-Identifier: Apache-2.0
"""Round trips through a stride on a warped grid, and the density of samples, against separable oracles."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from dealias.analysis import compose_warps, round_trip, sampling_density
from dealias.ops.warp import Warp, saliency_map
from dealias.ops.warp.grid import pixel_centres, rescale_points


def bent(size, amount):
    """Where the samples of an axis are: borders stay, the middle is sampled densely for amounts above 0."""
    place = np.arange(size) / (size - 1)
    return (place + amount * np.sin(2 * np.pi * place) / (2 * np.pi)) * (size - 1)


def slope(size, amount, place):
    """The derivative of that by the place of the sample, 0 to 1."""
    return 1 + amount * np.cos(2 * np.pi * place)


def separable(rows, columns):
    """The warp with these coordinates along its axes."""
    y, x = np.meshgrid(rows, columns, indexing="ij")
    return torch.from_numpy(np.stack([x, y])[None])


@pytest.mark.parametrize("size", [(33, 26), (24, 41)])
def test_a_round_trip_samples_and_comes_back(size):
    rows, columns = bent(size[0], 0.7), bent(size[1], -0.4)
    x = torch.rand(1, 2, *size, dtype=torch.float64)
    trip = round_trip(x, Warp(separable(rows, columns), size), stride=2)
    places = np.meshgrid(rows, columns, indexing="ij")
    modulated = np.stack([map_coordinates(channel.numpy(), places, order=1) for channel in x[0]])
    np.testing.assert_allclose(trip.modulated[0], modulated, atol=1e-9)
    np.testing.assert_allclose(trip.sampled[0], modulated[:, ::2, ::2], atol=1e-9)

    def restored(samples, of_axes):
        """Each pixel between the samples around it, by its place on the grid of the samples."""
        back = [np.interp(np.arange(len(of)), of, np.arange(len(of))) / 2 for of in of_axes]
        grid = np.meshgrid(*back, indexing="ij")
        return np.stack([map_coordinates(channel, grid, order=1, mode="nearest") for channel in samples])

    np.testing.assert_allclose(trip.demodulated[0], restored(modulated[:, ::2, ::2], (rows, columns)), atol=1e-6)
    straight = tuple(np.arange(length) for length in size)
    np.testing.assert_allclose(trip.plain[0], restored(x[0, :, ::2, ::2].numpy(), straight), atol=1e-6)
    assert (trip.demodulated - trip.plain).abs().max() > 0.1


def test_density_is_that_of_the_map():
    size, finer = (48, 64), (192, 256)
    amounts = (0.6, -0.5)
    axes = [bent(length, amount) for length, amount in zip(size, amounts, strict=True)]
    density = sampling_density(Warp(separable(*axes), size), finer)[0].numpy()
    expected = []
    for length, fine, amount in zip(size, finer, amounts, strict=True):
        pixels = (np.arange(fine) + 0.5) * length / fine - 0.5
        dense = np.linspace(0, 1, 100_001)
        places = np.interp(pixels, (dense + amount * np.sin(2 * np.pi * dense) / (2 * np.pi)) * (length - 1), dense)
        expected.append(1 / slope(length, amount, places))
    inner = slice(12, -12)
    found, wanted = density[inner, inner], np.outer(*expected)[inner, inner]
    assert np.abs(found / wanted - 1).max() < 0.15, "between the samples of the map, which is known there only"
    assert np.abs(found / wanted - 1).mean() < 0.02
    assert wanted.max() > 3 and wanted.min() < 0.6
    assert np.isnan(density[[0, -1]]).all() and np.isnan(density[:, [0, -1]]).all()


def test_all_samples_are_counted():
    warp = Warp(saliency_map(torch.rand(2, 1, 40, 50).pow(4) + 1e-3, sigma=3.0), (40, 50))
    density = sampling_density(warp, (400, 500))
    assert density.nanmean(dim=(1, 2)) == pytest.approx([1.0, 1.0], abs=0.03)
    assert density[~density.isnan()].max() > 2


def test_a_heap_of_samples_is_finite():
    heap = Warp(separable(np.r_[0, np.full(8, 4.0), 9], np.arange(10.0)), (10, 10))
    density = sampling_density(heap, (10, 10))
    assert density[~density.isnan()].max() < 10 and not density.isinf().any()


def test_warps_one_after_the_other():
    first, second = (Warp(separable(bent(n, 0.5), bent(n, a)), (n, n)) for n, a in ((32, 0.3), (16, -0.6)))
    points = compose_warps([first, second]).map[0, 0, 5]
    halfway = rescale_points(second.map, (16, 16), (32, 32))[0, 0, 5]
    np.testing.assert_allclose(points, np.interp(halfway, np.arange(32), bent(32, 0.3)), atol=1e-9)


@pytest.mark.parametrize(("stride", "batch", "message"), [(0, 1, "stride must be at least 1"), (2, 3, "x must be")])
def test_what_is_wrong_is_named(stride, batch, message):
    with pytest.raises(ValueError, match=message):
        round_trip(torch.rand(batch, 1, 8, 8), Warp(pixel_centres((8, 8), 1, torch.zeros(0)), (8, 8)), stride)
