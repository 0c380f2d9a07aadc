# SPDX-License-Identifier: Apache-2.0
"""MSAU: only a demodulation at first; the cascade against loops over its definition; the promises of every module."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from dealias.modulation import MSAU
from dealias.ops.warp import Warp, demodulate, saliency_map
from dealias.testing import assert_close, assert_shape, modules

CHANNELS = 6


class OnRegularGrids(nn.Module):
    """An MSAU between maps, for checks and graphs: to the size of ``values``, without warps."""

    def __init__(self, msau):
        super().__init__()
        self.msau = msau

    def forward(self, features, values):
        return self.msau(features, (), (values.shape[2], values.shape[3]), values)


def warps_of(batch, *sizes):
    maps = [saliency_map(torch.rand(batch, 1, *size) + 0.2, sigma=2.0) for size in sizes]
    return [Warp(u, size) for u, size in zip(maps, sizes, strict=True)]


def by_loops(values, logits, dilation):
    """Every pixel's nine taps, ``dilation`` apart, places beyond the border moved to the nearest pixel; numpy."""
    b, c, height, width = values.shape
    weights = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    mixed = np.zeros((b, c, height, width))
    for y, x, tap in np.ndindex(height, width, 9):
        row = min(max(y + (tap // 3 - 1) * dilation, 0), height - 1)
        column = min(max(x + (tap % 3 - 1) * dilation, 0), width - 1)
        mixed[:, :, y, x] += weights[:, None, tap, y, x] * values[:, :, row, column]
    return mixed


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("size", [(24, 20), (13, 31)], ids=str)
def test_starts_as_demodulation_alone(count, size):
    warps = warps_of(2, (24, 20), (12, 10), (6, 5))[:count]
    features, logits = torch.randn(2, CHANNELS, 6, 5), torch.randn(2, 4, 6, 5)
    upsample = MSAU(CHANNELS)
    assert_close(upsample(features, warps, size, logits), demodulate(logits, warps, size))
    assert_close(upsample(features, warps, size), demodulate(features, warps, size))


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("size", [(7, 9), (1, 4), (1, 1)], ids=str)
def test_cascade_equals_its_definition(stir, gated, size):
    upsample = stir(MSAU(CHANNELS, dilations=(1, 3, 8), gated=gated)).double().eval()
    features, values = (torch.randn(2, c, *size, dtype=torch.float64) for c in (CHANNELS, 3))
    with torch.no_grad():
        actual, relation = upsample(features, (), size, values), upsample.relation(features)
        expected = values.numpy()
        for index, (dilation, step) in enumerate(zip((1, 3, 8), upsample.steps, strict=True)):
            relation = step(relation)
            mixed = by_loops(expected, relation.numpy(), dilation)
            gate = upsample.gates[index].item() if gated else 1.0
            expected = expected + gate * (mixed - expected)
    assert_close(actual, torch.from_numpy(expected))


def test_relation_comes_from_the_features_and_takes_the_same_way(stir):
    upsample = stir(MSAU(CHANNELS, dilations=(2,), gated=False)).double().eval()
    (warp,) = warps_of(1, (12, 10))
    warp = Warp(warp.map.double(), warp.size)
    features, values = torch.randn(1, CHANNELS, 12, 10).double(), torch.randn(1, 2, 12, 10).double()
    with torch.no_grad():
        actual = upsample(features, [warp], (24, 20), values)
        relation = upsample.steps[0](demodulate(upsample.relation(features), [warp], (24, 20)))
        expected = by_loops(demodulate(values, [warp], (24, 20)).numpy(), relation.numpy(), 2)
    assert_close(actual, torch.from_numpy(expected))


def test_mixing_keeps_constants(stir):
    upsample = stir(MSAU(CHANNELS)).eval()
    features = torch.randn(1, CHANNELS, 9, 8)
    upsampled = upsample(features, warps_of(1, (9, 8)), (30, 21), torch.full((1, 2, 9, 8), 3.0))
    assert_close(upsampled, torch.full((1, 2, 30, 21), 3.0))


def test_training_starts_with_the_gates_then_reaches_everything():
    upsample, warps = MSAU(CHANNELS), warps_of(2, (8, 9))
    features, wanted = torch.randn(2, CHANNELS, 8, 9), torch.randn(2, CHANNELS, 16, 18)
    optimiser = torch.optim.SGD(upsample.parameters(), lr=1.0)
    for step in range(2):
        optimiser.zero_grad()
        (upsample(features, warps, (16, 18)) - wanted).square().mean().backward()
        trained = {name for name, p in upsample.named_parameters() if p.grad.any()}
        assert trained == ({"gates"} if step == 0 else {name for name, _ in upsample.named_parameters()})
        optimiser.step()


def test_every_gradient(stir):
    upsample = stir(MSAU(CHANNELS, dilations=(1, 2)))
    modules.check_gradients(OnRegularGrids(upsample), [torch.randn(2, CHANNELS, 7, 8), torch.randn(2, 3, 7, 8)])


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (17, 23)], ids=str)
def test_sizes(stir, size):
    upsample = stir(MSAU(CHANNELS)).eval()
    for target in (size, (33, 2)):
        result = upsample(torch.randn(1, CHANNELS, *size), warps_of(1, size), target, torch.randn(1, 5, *size))
        assert_shape(result, (1, 5, *target))


def test_trains_on_one_image(stir):
    upsample = stir(MSAU(CHANNELS)).train()
    upsample(torch.randn(1, CHANNELS, 5, 4), (), (9, 9)).sum().backward()
    assert upsample.relation[0].weight.grad.isfinite().all()


def test_precisions(stir):
    maps = [torch.randn(2, CHANNELS, 7, 9), torch.randn(2, 3, 7, 9)]
    modules.check_precisions(OnRegularGrids(stir(MSAU(CHANNELS, dilations=(1, 2)))).eval(), maps)


def test_autocast(stir):
    upsample, warps = stir(MSAU(CHANNELS, dilations=(1, 2))).eval(), warps_of(2, (9, 8))
    features, logits = torch.randn(2, CHANNELS, 9, 8, requires_grad=True), torch.randn(2, 3, 9, 8).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = upsample(features, warps, (20, 20), logits)
    assert actual.dtype == torch.bfloat16
    exact = copy.deepcopy(upsample)(features, warps, (20, 20), logits.float())
    assert_close(actual, exact)
    actual.float().sum().backward()
    assert features.grad.isfinite().all()


def test_layouts(stir):
    maps = [torch.randn(2, CHANNELS, 7, 9), torch.randn(2, 3, 7, 9)]
    modules.check_layouts(OnRegularGrids(stir(MSAU(CHANNELS)).eval()), maps)


def test_state_dict(stir):
    maps = [torch.randn(2, CHANNELS, 7, 9), torch.randn(2, 3, 7, 9)]
    modules.check_state_dict(lambda: OnRegularGrids(stir(MSAU(CHANNELS))), maps)


def test_full_graph_compile(stir):
    module = OnRegularGrids(stir(MSAU(CHANNELS, dilations=(1, 4))).eval())
    sizes = ((12, 14), (13, 9))
    modules.check_compile(module, [[torch.randn(2, CHANNELS, *size), torch.randn(2, 3, *size)] for size in sizes])


def test_export(stir):
    module = OnRegularGrids(stir(MSAU(CHANNELS, dilations=(1, 4))).eval())
    sizes = ((12, 16), (13, 9))
    maps = [[torch.randn(2, CHANNELS, *size), torch.randn(2, 3, *size)] for size in sizes]
    modules.check_export(module, ("features", "values"), maps)


def test_errors():
    upsample = MSAU(CHANNELS)
    with pytest.raises(ValueError, match=r"\[B, 6, h, w\].* got \(1, 5, 4, 4\)"):
        upsample(torch.zeros(1, 5, 4, 4), (), (8, 8))
    with pytest.raises(ValueError, match=r"one grid, got \(1, 6, 4, 4\) and \(1, 2, 4, 5\)"):
        upsample(torch.zeros(1, 6, 4, 4), (), (8, 8), torch.zeros(1, 2, 4, 5))
    with pytest.raises(ValueError, match=r"at least 1, got 6 and \(1, 0\)"):
        MSAU(CHANNELS, dilations=(1, 0))
