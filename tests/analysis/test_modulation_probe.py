# SPDX-License-Identifier: Apache-2.0
"""What is measured of modulated stages, over images: of no modulation, and of one that crowds samples at boundaries."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from dealias.analysis import (
    BoundaryRule,
    ModulationProbe,
    aliasing_score,
    along_boundaries,
    modulation_maps,
    radial_spectrum,
    round_trip,
)
from dealias.ops.warp import Warp, saliency_map

SIZE = (64, 64)
STRIDES = {"first": 2, "second": 2}


class Output(NamedTuple):
    features: Tensor
    warp: Warp
    attention: Tensor


class Given(nn.Module):
    """A modulation whose attention is given."""

    def __init__(self, attention=None, sigma=6.0):
        super().__init__()
        self.attention, self.sigma = attention, sigma

    def forward(self, x):
        attention = torch.ones_like(x[:, :1]) if self.attention is None else self.attention
        attention = attention.expand(len(x), -1, -1, -1)
        warp = Warp(saliency_map(attention, sigma=self.sigma), (x.shape[2], x.shape[3]))
        return Output(warp.apply(x), warp, attention)


class Network(nn.Module):
    """Two modulations, each before a mean over 2 x 2."""

    def __init__(self, attention=None):
        super().__init__()
        self.first, self.second = Given(attention), Given()

    def forward(self, x):
        halved = functional.avg_pool2d(self.first(x).features, 2)
        return functional.avg_pool2d(self.second(halved).features, 2)


@pytest.fixture
def labels():
    found = torch.zeros(2, *SIZE, dtype=torch.int64)
    found[:, :, 32:] = 1
    return found


@pytest.fixture
def crowding():
    """Attention at the boundary between the labels."""
    columns = torch.arange(64.0) - 31.5
    return (0.05 + 3 * torch.exp(-(columns**2) / 32)).expand(1, 1, *SIZE).contiguous()


@pytest.fixture
def chirps():
    """Slow waves and, around the boundary, fine ones, whose phase and frequency differ between images and channels."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    envelope = torch.exp(-((x - 31.5) ** 2) / 50)
    slow = torch.cos(2 * torch.pi * y / 64)
    waves = [torch.cos(2 * torch.pi * (0.28 + 0.02 * n) * x + n) for n in range(4)]
    return torch.stack([slow + envelope * wave for wave in waves]).view(2, 2, *SIZE)


def measure(network, images, labels):
    probe = ModulationProbe(network, STRIDES)
    for batch, of_batch in zip(images, labels, strict=True):
        with probe.measuring(of_batch):
            network(batch)
    return probe.compute()


def test_of_no_modulation_all_is_as_without(chirps, labels):
    labels[:, 40:, :] = 2
    for stage in measure(Network(), [chirps], [labels]):
        for a, b in (("before", "modulated"), ("demodulated", "plain")):
            np.testing.assert_allclose(stage.spectra[a], stage.spectra[b], atol=1e-5)
            assert stage.aliasing[a].mean == pytest.approx(stage.aliasing[b].mean, abs=1e-5)
        assert stage.lost["demodulated"].mean == pytest.approx(stage.lost["plain"].mean, abs=1e-4)
        assert stage.displacement.mean < 1e-4 and stage.flips.mean == 0
        assert stage.density.mean == pytest.approx(1, abs=1e-3) and stage.density.images == 2
        assert stage.correlation.images == 0 and math.isnan(stage.correlation.mean)


def test_samples_that_crowd_at_boundaries_save_the_detail_there(chirps, labels, crowding):
    first, second = measure(Network(crowding), [chirps], [labels])
    assert first.density.mean > 2 and first.correlation.mean > 0.7 and first.flips.mean == 0
    assert first.aliasing["modulated"].mean < 0.2 * first.aliasing["before"].mean
    assert first.lost["demodulated"].mean < 0.5 * first.lost["plain"].mean
    assert first.detail["demodulated"].mean > first.detail["plain"].mean + 0.2
    assert first.displacement.mean > 3
    beyond = np.array(first.frequencies) > first.nyquist
    of = {name: np.array(curve)[beyond].sum() for name, curve in first.spectra.items()}
    assert of["modulated"] < 0.2 * of["before"] and of["demodulated"] > 2 * of["plain"]
    # the second one moves nothing, but what arrives there is on the first one's grid
    assert second.displacement.mean < 1e-4 and second.density.mean == pytest.approx(first.density.mean, rel=0.1)
    assert (first.size, second.size, first.nyquist) == ((64, 64), (32, 32), 0.25)


def test_numbers_are_means_over_images_however_they_are_batched(chirps, labels, crowding):
    network = Network(crowding)
    together = measure(network, [chirps], [labels])
    one_by_one = measure(network, chirps.split(1), labels.split(1))
    for a, b in zip(together, one_by_one, strict=True):
        assert a.images == b.images == 2
        assert a.aliasing["plain"].std == pytest.approx(b.aliasing["plain"].std, rel=1e-4)
        np.testing.assert_allclose(a.spectra["plain"], b.spectra["plain"], rtol=1e-4, atol=1e-9)
    trip = round_trip(chirps, network.first(chirps).warp, 2)
    for name in ("before", "modulated", "demodulated", "plain"):
        scores = aliasing_score(getattr(trip, name), 0.25).double()
        spread = together[0].aliasing[name]
        assert (spread.mean, spread.std) == pytest.approx((scores.mean().item(), scores.std().item()), rel=1e-5)
        frequencies, shares = radial_spectrum(getattr(trip, name))
        np.testing.assert_allclose(together[0].frequencies, frequencies)
        np.testing.assert_allclose(together[0].spectra[name], shares.mean(0), rtol=1e-5, atol=1e-12)
        np.testing.assert_allclose(together[0].spectra_std[name], shares.std(0), rtol=1e-4, atol=1e-9)
    off = (trip.demodulated - chirps).square().sum((1, 2, 3)) / (chirps - chirps.mean((2, 3), True)).square().sum(
        (1, 2, 3)
    )
    assert together[0].lost["demodulated"].mean == pytest.approx(off.mean().item(), rel=1e-4)


def test_boundaries_and_what_counts(labels):
    labels = labels[:1, :10, 28:38].clone()
    labels[0, 8, 8] = 255
    boundary, counts = BoundaryRule(band=3).divide(labels)
    for y in range(10):
        for x in range(10):
            near = [(v, u) for v in range(y - 1, y + 2) for u in range(x - 1, x + 2) if 0 <= v < 10 and 0 <= u < 10]
            on_edge = any(
                labels[0, v, u] != labels[0, q, p]
                for v, u in near
                for q, p in ((v, u + 1), (v, u - 1), (v + 1, u), (v - 1, u))
                if 0 <= q < 10 and 0 <= p < 10
            )
            assert boundary[0, y, x] == on_edge
            assert counts[0, y, x] == (abs(y - 8) > 2 or abs(x - 8) > 2)


def test_density_and_correlation_of_known_pixels(crowding):
    """By loops over the pixels."""
    warp = Warp(saliency_map(crowding, sigma=4.0), SIZE)
    random = np.random.default_rng(0)
    boundary, counts = (torch.from_numpy(random.random((1, *SIZE)) < share) for share in (0.3, 0.8))
    ratio, correlation = along_boundaries(warp, boundary, counts)
    inverse = warp.inverse().map[0].double().numpy()
    density, marked = [], []
    for y in range(1, 63):
        for x in range(1, 63):
            stencil = [(y, x), (y, x + 1), (y, x - 1), (y + 1, x), (y - 1, x)]
            is_inside = all(1e-4 < inverse[axis, v, u] < 63 - 1e-4 for axis in (0, 1) for v, u in stencil)
            if is_inside and counts[0, y, x]:
                across = (inverse[:, y, x + 1] - inverse[:, y, x - 1]) / 2
                down = (inverse[:, y + 1, x] - inverse[:, y - 1, x]) / 2
                density.append(abs(across[0] * down[1] - across[1] * down[0]))
                marked.append(bool(boundary[0, y, x]))
    density, marked = np.array(density), np.array(marked)
    assert ratio.item() == pytest.approx(density[marked].mean() / density.mean(), rel=1e-4)
    assert correlation.item() == pytest.approx(np.corrcoef(density, marked)[0, 1], abs=1e-4)


def test_without_labels_or_boundaries_nothing_is_known_of_them(chirps, labels):
    for given in (None, torch.zeros_like(labels), torch.full_like(labels, 255)):
        (stage, _) = measure(Network(), [chirps], [given])
        assert stage.density.images == 0 and math.isnan(stage.density.mean) and stage.images == 2


def test_maps_are_those_of_the_stages(chirps, crowding):
    network = Network(crowding)
    found = modulation_maps(network, chirps, STRIDES)
    output = network.first(chirps)
    assert torch.equal(found["first"].trip.modulated, output.features)
    assert torch.equal(found["first"].trip.sampled, output.features[..., ::2, ::2])
    assert torch.equal(found["first"].attention, output.attention)
    points, between = found["second"].points, output.warp.map
    middle = (between[..., ::2, ::2] + between[..., ::2, 1::2] + between[..., 1::2, ::2] + between[..., 1::2, 1::2]) / 4
    assert points.size == SIZE and torch.allclose(points.map, middle, atol=1e-4), "half-pixel centres"
    assert not network.first._forward_hooks


def test_runs_that_fail_or_skip_a_stage_do_not_count(chirps):
    network = Network()
    probe = ModulationProbe(network, STRIDES)
    with pytest.raises(RuntimeError), probe.measuring():
        network(chirps)
        raise RuntimeError
    with pytest.raises(ValueError, match="one call of each of first, second, found first"), probe.measuring():
        network.first(chirps)
    assert probe.compute() == [] and not network.first._forward_hooks
    with pytest.raises(ValueError, match="no module 'third'"):
        ModulationProbe(network, {"third": 2})
    with pytest.raises(ValueError, match=r"labels must be integers \[B, H, W\]"):
        BoundaryRule().divide(torch.zeros(1, 4, 4))
    with pytest.raises(ValueError, match="odd"):
        BoundaryRule(band=4)
