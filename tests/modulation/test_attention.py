# SPDX-License-Identifier: Apache-2.0
"""The attention against its definition: every wide map built, everything in the order of the paper."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dealias.modulation import PyramidAttention
from dealias.testing import assert_close

SHAPES = [(1, 8, 9, 12), (2, 12, 16, 5), (3, 3, 7, 7), (2, 8, 1, 6), (2, 5, 1, 1)]


def oracle(module, x):
    """Loops over pixels for the details, wide concatenation for the rest, float64."""
    details = by_loops(x, module.smoothing.detach().softmax(1).numpy())
    maps = [details]
    for n, branch in zip(module.bins, module.branches, strict=True):
        pooled = branch(F.adaptive_avg_pool2d(x, n))
        maps.append(F.interpolate(pooled, size=x.shape[-2:], mode="bilinear", align_corners=False))
    logits = module.fuse(torch.cat(maps, dim=1))
    return logits.flatten(1).softmax(1).reshape(logits.shape) * logits[0].numel()


def by_loops(x, weights):
    """The 3x3 mean minus the weighted mean of 3x3 means around it; pixels beyond the border are the nearest ones."""
    b, c, height, width = x.shape
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), mode="edge")
    means = np.zeros((b, c, height + 2, width + 2))
    for i, j in np.ndindex(height + 2, width + 2):
        means[:, :, i, j] = padded[:, :, i : i + 3, j : j + 3].mean((2, 3))
    details = means[:, :, 1:-1, 1:-1].copy()
    for i, j in np.ndindex(height, width):
        details[:, :, i, j] -= (means[:, :, i : i + 3, j : j + 3].reshape(b, c, 9) * weights).sum(-1)
    return torch.from_numpy(details)


@pytest.mark.parametrize("bins", [(1, 2, 3, 7), (2, 5)], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_wide_form(stir, shape, bins):
    module = stir(PyramidAttention(shape[1], bins)).double()
    x = torch.randn(shape, dtype=torch.float64)
    assert_close(module(x), oracle(module, x))


def test_every_weight_is_in_the_one_convolution():
    weights = PyramidAttention(32).state_dict()
    assert weights["fuse.weight"].shape == (1, 64, 1, 1)
    assert "tap_windows" not in weights


def test_high_pass_sums_to_zero(stir):
    kernels = stir(PyramidAttention(6)).high_pass()
    assert kernels.shape == (6, 9)
    assert kernels.sum(1).abs().max() < 1e-6
    assert (kernels[:, 4] > 0).all() and (kernels[:, [0, 1, 2, 3, 5, 6, 7, 8]] < 0).all()


def test_a_constant_has_no_details_borders_included(stir):
    module = stir(PyramidAttention(6)).double()
    x = torch.randn(2, 6, 1, 1, dtype=torch.float64).expand(2, 6, 8, 11)
    assert (module(x) - 1).abs().max() < 1e-12


def test_mean_is_one_and_no_value_zero_however_large_the_weights(stir):
    attention = stir(PyramidAttention(8), std=1e3)(torch.randn(2, 8, 20, 30))
    assert_close(attention.mean((1, 2, 3)), torch.ones(2))
    ratio = attention.amax((1, 2, 3)) / attention.amin((1, 2, 3))
    assert (ratio > 0.9e6).all() and (ratio < 1.1e6).all()


def test_images_do_not_see_each_other(stir):
    module = stir(PyramidAttention(8)).train()
    x = torch.randn(3, 8, 9, 10)
    assert_close(module(x)[1:2], module(x[1:2]))


def test_follows_details():
    """With equal weights of the details alone, attention is highest at a spot, and constant away from it."""
    module = PyramidAttention(4)
    nn.init.constant_(module.fuse.weight[:, :4], 1.0)
    x = torch.zeros(1, 4, 24, 24)
    x[0, :, 12, 12] = 20.0
    attention = module(x)[0, 0].detach()
    assert attention[11:14, 11:14].max() == attention.max() > 10 * attention[0, 0]
    attention[10:15, 10:15] = attention[0, 0]
    assert attention.std() < 1e-6


@pytest.mark.parametrize("batch", [1, 2])
def test_trains_on_few_images(stir, batch):
    module = stir(PyramidAttention(8)).train()
    x = torch.randn(batch, 8, 6, 7)
    (module(x) * torch.randn(6, 7)).sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in module.parameters())


def test_any_norm():
    module = PyramidAttention(8, norm=nn.BatchNorm2d).train()
    assert module(torch.randn(2, 8, 6, 6)).isfinite().all()
    assert sum(isinstance(part, nn.BatchNorm2d) for part in module.modules()) == 4


def test_gradients(stir):
    module = stir(PyramidAttention(4, bins=(1, 2))).double()
    x = torch.randn(2, 4, 4, 5, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in module.named_parameters()]

    def attention(x, *parameters):
        return torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), x)

    assert torch.autograd.gradcheck(attention, (x, *module.parameters()))


@pytest.mark.parametrize("shape", [(8, 6, 6), (1, 7, 6, 6), (1, 1, 8, 6, 6)], ids=str)
def test_wrong_shapes(shape):
    with pytest.raises(ValueError, match=r"needs x \[B, 8, H, W\], got"):
        PyramidAttention(8)(torch.zeros(shape))


@pytest.mark.parametrize("options", [{"channels": 0}, {"bins": ()}, {"bins": (0, 2)}], ids=str)
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match="must be at least 1"):
        PyramidAttention(**{"channels": 8, **options})
