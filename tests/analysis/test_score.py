# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
import torch

from dealias.analysis import aliasing_map, aliasing_score
from dealias.ops.spectrum import low_pass

SIZES = [(8, 8), (7, 9), (12, 5), (1, 16), (20, 3)]
CUTOFFS = [0.0, 0.1, 0.25, 0.35, math.sqrt(2) / 4, 0.5, 1.2]


def maps(*shape, seed=0, offset=0.5):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) + offset


def score_by_loops(channel, cutoff):
    """Power of each frequency by the definition of the Fourier transform."""
    height, width = channel.shape
    above = total = 0.0
    for v in range(height):
        for u in range(width):
            wave = np.exp(-2j * np.pi * (v * np.arange(height)[:, None] / height + u * np.arange(width) / width))
            power = abs((channel * wave).sum()) ** 2
            total += power
            if max(min(v, height - v) / height, min(u, width - u) / width) > cutoff:
                above += power
    return above / total


@pytest.mark.parametrize("cutoff", CUTOFFS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_score_is_the_share_by_definition(size, cutoff):
    x = maps(2, 3, *size)
    expected = [np.mean([score_by_loops(channel.double().numpy(), cutoff) for channel in item]) for item in x]
    assert aliasing_score(x, cutoff).tolist() == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("size", [(64, 64), (63, 65)], ids=str)
@pytest.mark.parametrize(("cutoff", "score"), [(math.sqrt(2) / 4, 0.5), (0.25, 0.75), (0.1, 0.96)])
def test_white_noise(size, cutoff, score):
    x = maps(4, 64, *size, offset=0.0)
    assert aliasing_score(x, cutoff).tolist() == pytest.approx([score] * 4, abs=0.02)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_frequency_at_the_cutoff_is_below(size):
    """Whatever the rounding of k / N."""
    for k in range(max(size) // 2 + 1):
        places = torch.arange(max(size), dtype=torch.float64)
        wave = torch.cos(2 * math.pi * k / max(size) * places).expand(1, 1, 1, -1)
        assert aliasing_score(wave, k / max(size)).item() < 1e-12
        assert k == 0 or aliasing_score(wave, (k - 0.5) / max(size)).item() > 1 - 1e-12


def test_sines_around_the_limit_of_a_stage():
    x = torch.arange(100.0)
    below, above = (torch.sin(2 * math.pi * f * x).expand(1, 1, 20, -1) for f in (0.30, 0.40))
    assert aliasing_score(below, math.sqrt(2) / 4).item() < 1e-6
    assert aliasing_score(above, math.sqrt(2) / 4).item() == pytest.approx(1, abs=1e-6)
    assert aliasing_score(above.mT, math.sqrt(2) / 4).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("cutoff", [0.25, 0.35])
def test_nothing_is_left_above_after_a_low_pass(size, cutoff):
    x = maps(1, 4, *size).double()
    assert aliasing_score(low_pass(x, cutoff), cutoff).item() < 1e-20


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e6, 1e30])
def test_score_does_not_depend_on_scale(scale):
    x = maps(2, 3, 9, 12)
    torch.testing.assert_close(aliasing_score(x * scale, 0.25), aliasing_score(x, 0.25))
    torch.testing.assert_close(aliasing_map(x * scale, 0.25), aliasing_map(x, 0.25))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    x = (300 * maps(2, 3, 32, 32)).to(dtype)
    found = aliasing_score(x, 0.25)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, aliasing_score(x.float(), 0.25))


def test_channels_without_power_count_as_zero():
    x = maps(1, 2, 16, 16)
    alone = aliasing_score(x, 0.25)
    with_dead = torch.cat([x, torch.zeros(1, 2, 16, 16)], dim=1)
    torch.testing.assert_close(aliasing_score(with_dead, 0.25), alone / 2)
    assert aliasing_score(torch.zeros(3, 2, 4, 4), 0.25).tolist() == [0, 0, 0]
    assert aliasing_score(torch.full((1, 1, 7, 6), 3.3), 0.0).item() < 1e-12


@pytest.mark.parametrize("cutoff", CUTOFFS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_mean_of_the_map_is_the_score(size, cutoff):
    x = maps(2, 3, *size)
    found = aliasing_map(x, cutoff)
    assert found.shape == (2, *size) and found.min() >= 0
    torch.testing.assert_close(found.mean((-2, -1)), aliasing_score(x, cutoff), atol=1e-5, rtol=1e-4)


def test_the_map_shows_where_the_fine_pattern_is():
    x = torch.ones(1, 2, 64, 64)
    checkers = (torch.arange(8)[:, None] + torch.arange(8)) % 2
    x[0, :, 8:16, 40:48] += checkers
    found = aliasing_map(x, 0.25)[0]
    assert found[6:18, 38:50].sum() > 0.9 * found.sum()


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"\[B, C, H, W\].*\(3, 4, 4\)"):
        aliasing_score(torch.zeros(3, 4, 4), 0.25)
    with pytest.raises(ValueError, match=r"not empty, got shape \(1, 0, 4, 4\)"):
        aliasing_score(torch.zeros(1, 0, 4, 4), 0.25)
    for function in (aliasing_score, aliasing_map):
        with pytest.raises(ValueError, match=r"cutoff.*-0\.1"):
            function(torch.zeros(1, 1, 4, 4), -0.1)
        with pytest.raises(ValueError, match=r"cutoff.*nan"):
            function(torch.zeros(1, 1, 4, 4), math.nan)
