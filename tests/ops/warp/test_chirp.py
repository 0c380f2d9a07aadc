# SPDX-License-Identifier: Apache-2.0
"""The chirp experiment of the benchmarks: a warp before a pooling lets fine waves through, and its inverse is exact."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"

ALIASING = {4.0: 0.048, 6.0: 0.015, 12.0: 0.022}
PSNR = {4.0: 28.5, 6.0: 28.5, 12.0: 31.0}


@pytest.fixture(scope="module")
def chirp():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield import_module("chirp")
    sys.modules.pop("chirp")


@pytest.fixture(scope="module")
def plain(chirp: ModuleType):
    return chirp.round_trip(chirp.chirp_image())


def test_without_a_warp_the_waves_alias(plain):
    assert plain.aliasing == pytest.approx(0.171, abs=5e-4) and plain.psnr == pytest.approx(27.3, abs=0.05)


def test_saliency_is_that_of_the_patches(chirp: ModuleType):
    salient = chirp.saliency(chirp.chirp_image())
    assert salient.mean().item() == pytest.approx(1, abs=1e-5) and salient.min() > 0
    for (x, y), _ in chirp.PATCHES:
        assert salient[0, 0, y, x] > 500 * salient[0, 0, 8, 120]


@pytest.mark.parametrize("method", ["mesh", "newton"])
@pytest.mark.parametrize("sigma", [4.0, 6.0, 12.0])
def test_a_warp_lowers_aliasing_and_its_inverse_brings_more_back(chirp: ModuleType, plain, sigma, method):
    ours = chirp.round_trip(plain.image, sigma, method)
    assert ours.aliasing <= min(ALIASING[sigma], plain.aliasing / 5)
    assert ours.psnr >= max(PSNR[sigma], plain.psnr + 3)
    assert ours.warp.flips().item() == 0


@pytest.mark.parametrize("method", ["mesh", "newton"])
@pytest.mark.parametrize("sigma", [4.0, 6.0, 12.0])
def test_every_pixel_is_found_again(chirp: ModuleType, plain, sigma, method):
    warps = chirp.three_warps(plain.image, sigma)
    assert chirp.inverse_error(warps[:1], method) < 1e-3
    assert chirp.inverse_error(warps, method) < 1e-2
    moved = (warps[0].map - warps[0].inverse(method=method).map).abs().max()
    assert moved > 4, "the warp does something"
