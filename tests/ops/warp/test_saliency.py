# SPDX-License-Identifier: Apache-2.0
"""Sampling maps against their definition in loops, and what holds for every saliency: order, borders, finiteness."""

import itertools
import math

import numpy as np
import pytest
import torch

from dealias.ops.warp import saliency_map
from dealias.testing import assert_close

WIDTHS = [{}, {"sigma": 4.0}, {"sigma": 6.0}, {"fwhm": 12 * math.sqrt(8 * math.log(2))}]
PUBLISHED_SIGMA = 3 / (2 * math.sqrt(2 * math.log(2)))


def reflect(q, size):
    while size > 1 and not 0 <= q < size:
        q = -q if q < 0 else 2 * (size - 1) - q
    return q if size > 1 else 0


def loop(saliency, sigma, window):
    """u [2, H, W] and J [2, 2, H, W] of a numpy map [H, W], pixel by pixel, J from deviations from the mean."""
    height, width = saliency.shape
    reach = range(-(window // 2), window // 2 + 1)
    u, jacobian = np.zeros((2, height, width)), np.zeros((2, 2, height, width))
    for y, x in np.ndindex(height, width):
        places = np.array([(x + dx, y + dy) for dy in reach for dx in reach], dtype=float)
        seen = [saliency[reflect(y + dy, height), reflect(x + dx, width)] for dy in reach for dx in reach]
        weight = np.array(seen) * np.exp(-((places - (x, y)) ** 2).sum(1) / (2 * sigma**2))
        weight /= weight.sum()
        u[:, y, x] = weight @ places
        away = places - u[:, y, x]
        jacobian[:, :, y, x] = (weight[:, None] * away).T @ away / sigma**2
    return u, jacobian


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (3, 1), (2, 2), (5, 8), (13, 7)])
@pytest.mark.parametrize(("sigma", "window"), [(None, None), (None, 3), (2.5, 21), (0.4, 5)])
def test_equals_the_definition(size, sigma, window):
    saliency = torch.rand(2, 1, *size, dtype=torch.float64) ** 4 + 1e-3
    u, jacobian = saliency_map(saliency, sigma=sigma, window=window, jacobian=True)
    for b in range(2):
        expected = loop(saliency[b, 0].numpy(), sigma or PUBLISHED_SIGMA, window or 11)
        assert torch.allclose(u[b], torch.from_numpy(expected[0]), atol=1e-7)
        assert torch.allclose(jacobian[b], torch.from_numpy(expected[1]), atol=1e-7)


def test_one_salient_pixel_pulls_its_neighbours():
    """Weights 1, 3 and 1 of a window of three pixels whose kernel is 1/2, 1, 1/2: one axis by hand."""
    saliency = torch.tensor([1.0, 1.0, 3.0, 1.0, 1.0]).reshape(1, 1, 1, 5)
    u = saliency_map(saliency, sigma=1 / math.sqrt(2 * math.log(2)), window=3)
    assert_close(u[0, 0, 0], torch.tensor([0.0, 1 + (1.5 - 0.5) / (0.5 + 1 + 1.5), 2.0, 3 - 1 / 3, 4.0]))
    assert_close(u[0, 1, 0], torch.zeros(5))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (16, 33), (97, 20)])
def test_constant_saliency_is_the_identity(size, width):
    u, jacobian = saliency_map(torch.full((1, 1, *size), 3.7), **width, jacobian=True)
    x, y = torch.meshgrid(torch.arange(size[1]), torch.arange(size[0]), indexing="xy")
    assert (u - torch.stack([x, y])).abs().max() <= 1e-6
    assert (jacobian - torch.eye(2)[..., None, None]).abs().max() < 2e-3


def adversaries(count, size, generator):
    """Saliencies [count, 1, H, W] of ratios of up to a million: log-uniform, spikes, edges, stripes, ramps."""
    random = torch.rand(count, 1, *size, generator=generator, dtype=torch.float64)
    place = torch.arange(size[1]).expand(size)
    kinds = [
        10 ** (6 * random),
        torch.where(random > 0.97, 1e6, 1.0),
        torch.where(random > 0.97, 1.0, 1e6),
        torch.where(place > random[:, :, :1, :1] * size[1], 1e6, 1.0),
        torch.where(random[:, :, :1, :] > 0.5, 1e6, 1.0).expand_as(random),
        torch.where(random[:, :, :, :1] > 0.9, 1e6, 1.0).expand_as(random),
        10 ** (6 * place / size[1]).expand_as(random),
        torch.exp(random),
    ]
    return torch.cat([kind[i :: len(kinds)] for i, kind in enumerate(kinds)])


@pytest.mark.parametrize("width", WIDTHS)
def test_maps_of_any_saliency_keep_the_order_of_pixels(width):
    generator = torch.Generator().manual_seed(1)
    for size, count in [((20, 20), 240), ((7, 31), 240), ((3, 2), 400), ((50, 5), 120)]:
        saliency = adversaries(count, size, generator)
        u, jacobian = saliency_map(saliency, **width, jacobian=True)
        assert u.isfinite().all()
        x, y = u.unbind(1)
        assert x.diff(dim=2).min() > 0 and y.diff(dim=1).min() > 0
        assert (x[..., 0] == 0).all() and (x[..., -1] == size[1] - 1).all()
        assert (y[..., 0, :] == 0).all() and (y[..., -1, :] == size[0] - 1).all()
        trace, determinant = (
            jacobian[:, 0, 0] + jacobian[:, 1, 1],
            jacobian[:, 0, 0] * jacobian[:, 1, 1] - jacobian[:, 0, 1] ** 2,
        )
        assert trace.min() > 0 and determinant.min() > 0
        single = saliency_map(saliency.float(), **width)
        assert (single - u).abs().max() < 1e-4
        assert single[:, 0].diff(dim=2).min() >= 0 and single[:, 1].diff(dim=1).min() >= 0


def test_jacobian_is_the_derivative_of_a_smooth_map():
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij")
    saliency = (2 + torch.sin(x / 6) * torch.cos(y / 7))[None, None].double()
    u, jacobian = saliency_map(saliency, sigma=3.0, jacobian=True)
    assert torch.allclose(jacobian[:, :, 0, :, 1:-1], (u[..., 2:] - u[..., :-2]) / 2, atol=5e-3)
    assert torch.allclose(jacobian[:, :, 1, 1:-1], (u[:, :, 2:] - u[:, :, :-2]) / 2, atol=5e-3)
    assert (jacobian[:, 0, 1] == jacobian[:, 1, 0]).all()


def test_gradients():
    saliency = (torch.rand(1, 1, 4, 3, dtype=torch.float64) + 0.1).requires_grad_()
    sigma = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s, w: saliency_map(s, sigma=w, window=7, jacobian=True), (saliency, sigma))
    wide = torch.tensor(1.3, requires_grad=True)
    saliency_map(saliency, sigma=wide).square().sum().backward()
    assert wide.grad.isfinite() and wide.grad != 0


def test_windows_follow_from_widths():
    saliency = torch.rand(1, 1, 30, 30)
    assert torch.equal(saliency_map(saliency), saliency_map(saliency, fwhm=3.0, window=11))
    assert torch.equal(saliency_map(saliency, sigma=2.0), saliency_map(saliency, sigma=2.0, window=17))
    assert_close(saliency_map(saliency, sigma=2.01), saliency_map(saliency, sigma=torch.tensor(2.01), window=19))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32(dtype):
    saliency = (torch.rand(2, 1, 9, 200) * 100 + 1).to(dtype)
    expected = saliency_map(saliency.float(), sigma=4.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        u = saliency_map(saliency, sigma=4.0)
    assert u.dtype == torch.float32 and torch.equal(u, expected)


def test_layouts_and_scales_do_not_matter():
    saliency = torch.rand(2, 1, 10, 12) + 0.1
    expected = saliency_map(saliency)
    strided = torch.empty(2, 1, 12, 20).mT[:, :, ::2].copy_(saliency)
    for same in (strided, saliency.to(memory_format=torch.channels_last), saliency * 1e-20):
        assert_close(saliency_map(same), expected)
    assert saliency_map(saliency[:0], jacobian=True)[1].shape == (0, 2, 2, 10, 12)
    silent = saliency.clone()
    silent[:, :, :, 6:] = 0  # nothing within the windows of the last pixels
    assert saliency_map(silent, window=3).isfinite().all()


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((1, 2, 3, 3), {}, r"\(1, 2, 3, 3\)"),
        ((1, 1, 0, 3), {}, r"\(1, 1, 0, 3\)"),
        ((1, 1, 3, 3), {"sigma": 1.0, "fwhm": 2.0}, "sigma or fwhm"),
        ((1, 1, 3, 3), {"sigma": 0.0}, "positive, got 0.0"),
        ((1, 1, 3, 3), {"fwhm": -1.0}, "positive, got -"),
        ((1, 1, 3, 3), {"sigma": torch.ones(2)}, r"one number, got \(2,\)"),
        ((1, 1, 3, 3), {"window": 4}, "odd number of at least 3, got 4"),
    ],
)
def test_bad_input_is_named(shape, options, message):
    with pytest.raises(ValueError, match=message):
        saliency_map(torch.ones(shape), **options)


def test_exported_graph_serves_other_sizes():
    class Map(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.sigma = torch.nn.Parameter(torch.tensor(2.0))

        def forward(self, saliency):
            fixed, jacobian = saliency_map(saliency, jacobian=True)
            return fixed, jacobian, saliency_map(saliency, sigma=self.sigma, window=9)

    module, auto = Map(), torch.export.Dim.AUTO
    example = (torch.rand(3, 1, 9, 14),)
    dynamic = {"saliency": {0: auto, 2: auto, 3: auto}}
    exported = torch.export.export(module, example, dynamic_shapes=dynamic, strict=False).module()
    for shape in ((2, 1, 5, 40), (4, 1, 14, 9)):
        saliency = torch.rand(shape)
        for actual, expected in itertools.zip_longest(exported(saliency), module(saliency)):
            assert_close(actual, expected)
