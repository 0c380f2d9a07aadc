# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from dealias.analysis import FILTERS, BandLimit, Taps, folded_power, kept_band, zone_plate

EXPECTED = {
    "no filter": (75, 100),
    "2x2 average": (33, 67),
    "blur 3": (15, 48),
    "blur 5": (3, 29),
    "ideal 0.354": (50, 100),
    "ideal 0.25": (0, 100),
}


@pytest.mark.parametrize("name", FILTERS)
def test_known_percentages_at_stride_two(name):
    lowpass = FILTERS[name]
    assert (round(100 * folded_power(lowpass)), round(100 * kept_band(lowpass))) == EXPECTED[name]


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.25, 0.5, 0.25), (0.1, 0.2, -0.3, 0.7), (2.0,)])
@pytest.mark.parametrize("edge", [0.125, 0.25, 0.5])
def test_power_is_the_integral_of_the_response(weights, edge):
    def response(f):
        return abs(sum(w * np.exp(-2j * math.pi * f * n) for n, w in enumerate(weights))) ** 2

    assert Taps(weights).power_below(edge) == pytest.approx(quad(response, -edge, edge)[0], rel=1e-9)


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize("lowpass", [Taps((0.25, 0.5, 0.25)), Taps((0.5, 0.5)), BandLimit(0.3)], ids=str)
def test_white_noise_measured_by_fft(lowpass, stride):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(512, 512, generator=generator, dtype=torch.float64)
    spectrum = torch.fft.fft2(lowpass.apply(noise)).abs() ** 2
    inside = torch.fft.fftfreq(512).abs() < 0.5 / stride
    band = (inside[:, None] & inside).double()
    folded = 1 - (spectrum * band).sum() / spectrum.sum()
    kept = (spectrum * band).sum() / (torch.fft.fft2(noise).abs() ** 2 * band).sum()
    assert folded.item() == pytest.approx(folded_power(lowpass, stride), abs=0.01)
    assert kept.item() == pytest.approx(kept_band(lowpass, stride), abs=0.01)


def test_folded_power_is_what_decimation_turns_false():
    """The folded share is the power that false frequencies carry after decimation."""
    generator = torch.Generator().manual_seed(1)
    noise = Taps((0.5, 0.5)).apply(torch.randn(1024, 1024, generator=generator, dtype=torch.float64))
    genuine = BandLimit(0.25).apply(noise)
    false = (noise - genuine)[::2, ::2].square().mean() / noise[::2, ::2].square().mean()
    assert false.item() == pytest.approx(folded_power(Taps((0.5, 0.5))), abs=0.01)


def test_filters_keep_size_and_constants():
    for lowpass in FILTERS.values():
        image = torch.full((7, 10), 3.0)
        torch.testing.assert_close(lowpass.apply(image), image)


def test_taps_filter_against_a_loop():
    image = torch.arange(20.0).view(4, 5) ** 1.5
    weights = (0.2, 0.5, 0.3)
    expected = torch.zeros(4, 5)
    for y in range(4):
        for x in range(5):
            expected[y, x] = sum(
                a * b * image[(y + i - 1) % 4, (x + j - 1) % 5]
                for i, a in enumerate(weights)
                for j, b in enumerate(weights)
            )
    torch.testing.assert_close(Taps(weights).apply(image), expected)


def test_even_taps_average_two_by_two_blocks():
    image = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        Taps((0.5, 0.5)).apply(image)[::2, ::2], torch.nn.functional.avg_pool2d(image[None], 2)[0]
    )


@pytest.mark.parametrize("distance", [-96, -40, 24, 72])
def test_zone_plate_frequency_grows_to_the_limit_at_the_edge(distance):
    plate = zone_plate(256)
    assert plate.shape == (256, 256) and plate.abs().max() <= 1 and plate[128, 128] == 1
    around = (torch.arange(16) + 128 + distance - 8) % 256
    for window in (plate[128, around], plate[around, 128]):
        spectrum = torch.fft.rfft((window - window.mean()) * torch.hann_window(16), n=512).abs()
        assert spectrum.argmax().item() / 512 == pytest.approx(abs(distance) / 256, abs=0.02)
