# SPDX-License-Identifier: Apache-2.0
"""ARS: the identity at first, trained from there; the promises of every module on maps."""

import copy

import pytest
import torch
import torch.nn.functional as F

from dealias.modulation import ARS, create_modulation, list_modulations
from dealias.ops.warp import saliency_map
from dealias.testing import assert_close, assert_shape, modules

CHANNELS = 16


@pytest.fixture
def ars(stir):
    return stir(ARS(CHANNELS))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2), (17, 24), (64, 65)], ids=str)
def test_starts_as_the_identity(size):
    x = torch.randn(2, CHANNELS, *size)
    features, warp, attention = ARS(CHANNELS)(x)
    ys, xs = torch.meshgrid(*map(torch.arange, size), indexing="ij")
    assert (warp.map - torch.stack([xs, ys])).abs().max() < 1e-4
    assert (features - x).abs().max() < 1e-3
    assert (attention == attention.mean()).all()


def test_is_sampled_at_the_points_of_its_attention(ars):
    x = torch.randn(2, CHANNELS, 14, 19)
    features, warp, attention = ars(x)
    points = saliency_map(attention, fwhm=3, window=11)
    assert_close(warp.map, points)
    grid = torch.stack([(2 * points[:, 0] + 1) / 19 - 1, (2 * points[:, 1] + 1) / 14 - 1], dim=-1)
    assert_close(features, F.grid_sample(x, grid, padding_mode="border", align_corners=False))
    assert (features - x).abs().max() > 0.1
    assert warp.size == (14, 19)


def test_training_starts_with_the_last_convolution_then_reaches_everything():
    ars = ARS(CHANNELS)
    x, wanted = torch.randn(2, CHANNELS, 12, 13), torch.randn(2, CHANNELS, 12, 13)
    optimiser = torch.optim.SGD(ars.parameters(), lr=10.0)
    for step in range(2):
        optimiser.zero_grad()
        (ars(x).features - wanted).square().mean().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in ars.parameters())
        trained = {name for name, p in ars.named_parameters() if p.grad.any()}
        assert trained == ({"attention.fuse.weight"} if step == 0 else {name for name, _ in ars.named_parameters()})
        optimiser.step()
    assert ars.attention.fuse.weight.any()


def test_a_learned_sigma_gets_a_gradient_and_stays_positive(stir):
    ars = ARS(CHANNELS, sigma=2.0, learn_sigma=True)
    assert ars.window == 17 and ars.sigma.item() == pytest.approx(2.0)
    stir(ars.attention)
    x = torch.randn(2, CHANNELS, 20, 20)
    ars(x).features.square().sum().backward()
    assert ars.log_sigma.grad.isfinite() and ars.log_sigma.grad != 0
    with torch.no_grad():
        ars.log_sigma.sub_(100.0)
    assert ars.sigma > 0
    assert ars(x).features.isfinite().all()


def test_a_wider_gaussian_moves_points_further(stir):
    narrow, wide = stir(ARS(CHANNELS)), ARS(CHANNELS, sigma=6.0)
    wide.load_state_dict(narrow.state_dict())
    x = torch.randn(1, CHANNELS, 40, 40)
    assert narrow.shifts(x).abs().mean() < 0.5 * wide.shifts(x).abs().mean()
    _, warp, _ = narrow(x)
    assert_close(narrow.shifts(x)[:, 0], warp.map[:, 0] - torch.arange(40.0))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3), (16, 24), (17, 23)], ids=str)
@pytest.mark.parametrize("batch", [1, 3])
def test_sizes(ars, size, batch):
    features, warp, attention = ars.train()(torch.randn(batch, CHANNELS, *size))
    assert_shape(features, (batch, CHANNELS, *size))
    assert_shape(warp.map, (batch, 2, *size))
    assert_shape(attention, (batch, 1, *size))
    assert all(part.isfinite().all() for part in (features, warp.map, attention))


def test_gradients(stir):
    ars = stir(ARS(4, sigma=1.0, learn_sigma=True, bins=(1, 2))).double()
    x = torch.randn(1, 4, 4, 5, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in ars.named_parameters()]

    def features(x, *parameters):
        return torch.func.functional_call(ars, dict(zip(names, parameters, strict=True)), x).features

    assert torch.autograd.gradcheck(features, (x, *ars.parameters()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_keeps_maps_in_float32(ars, dtype):
    x = torch.randn(2, CHANNELS, 12, 150).to(dtype)
    exact = copy.deepcopy(ars).to(dtype).double()(x.double())
    actual = ars.to(dtype)(x)
    assert actual.features.dtype == dtype
    assert actual.warp.map.dtype == actual.attention.dtype == torch.float32
    assert (actual.warp.map - exact.warp.map).abs().max() < 0.1  # a 16-bit map would be off by 0.5 at column 150
    assert (actual.features - exact.features).abs().mean() < 0.02


def test_autocast(ars):
    x = torch.randn(2, CHANNELS, 12, 15, requires_grad=True)
    expected = ars(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features, warp, attention = ars(x)
    assert features.dtype == warp.map.dtype == attention.dtype == torch.float32
    assert (warp.map - expected.warp.map).abs().max() < 0.1
    features.sum().backward()
    assert x.grad.isfinite().all()


def test_large_values_in_half_precision(ars):
    assert ars.half()(3e3 * torch.rand(1, CHANNELS, 32, 32).half()).features.isfinite().all()


def test_layouts(ars, parts):
    modules.check_layouts(parts(ars), [torch.randn(2, CHANNELS, 12, 15)])


def test_state_dict(parts, stir):
    modules.check_state_dict(lambda: parts(stir(ARS(CHANNELS, learn_sigma=True))), [torch.randn(2, CHANNELS, 9, 8)])


def test_full_graph_compile(parts, stir):
    module = parts(stir(ARS(CHANNELS, learn_sigma=True)))
    modules.check_compile(module, [[torch.randn(2, CHANNELS, *size)] for size in ((12, 14), (13, 9), (20, 16))])


def test_export(ars, parts):
    sizes = ((12, 16), (13, 9), (20, 31))
    modules.check_export(parts(ars).eval(), ("x",), [[torch.randn(2, CHANNELS, *size)] for size in sizes])


def test_names_and_options():
    assert list_modulations() == ["ars"]
    assert create_modulation("ars", 8, fwhm=5.0, window=21).window == 21
    with pytest.raises(ValueError, match="unknown modulation 'asr'; known: ars"):
        create_modulation("asr", 8)
    with pytest.raises(ValueError, match="'ars' has no option sigmas; it accepts: sigma, fwhm, window, learn_sigma"):
        create_modulation("ars", 8, sigmas=0.3)
    with pytest.raises(ValueError, match=r"got 1\.0 and 2\.0"):
        ARS(8, sigma=1.0, fwhm=2.0)
    with pytest.raises(ValueError, match="odd"):
        ARS(8, window=10)
