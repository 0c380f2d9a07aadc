# SPDX-License-Identifier: Apache-2.0
"""Counts of operations against counts by hand; always two operations for each multiply-add."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dealias.complexity import count_flops, register_flop_formulas
from dealias.complexity.parts import Part
from dealias.fusion import create_fusion
from dealias.ops import (
    cross_similarity,
    deformable_aggregation,
    kernel_normalize,
    local_similarity,
    low_pass,
    point_sample,
    reassemble,
)


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def macs(module, *inputs):
    part = Part("all", {"": module})
    count = count_flops(lambda: module(*inputs), [part])
    assert count.parts[part] == sum(count.operators.values())
    return count.parts[part] / 2


MODULES = {
    "conv": (nn.Conv2d(3, 8, 3, padding=1), (2, 3, 10, 12), 2 * 10 * 12 * 8 * 3 * 9),
    "strided conv": (nn.Conv2d(4, 8, 5, stride=2), (1, 4, 11, 9), 4 * 3 * 8 * 4 * 25),
    "depthwise conv": (nn.Conv2d(6, 6, 3, padding=1, groups=6), (1, 6, 7, 5), 7 * 5 * 6 * 9),
    "dilated conv": (nn.Conv2d(2, 3, 3, dilation=2), (1, 2, 9, 8), 5 * 4 * 3 * 2 * 9),
    "transposed conv": (nn.ConvTranspose2d(4, 5, 3, stride=2), (1, 4, 6, 7), 6 * 7 * 4 * 5 * 9),
    "linear": (nn.Linear(16, 7), (3, 5, 16), 3 * 5 * 16 * 7),
    "elementwise": (nn.Sequential(nn.BatchNorm2d(3).eval(), nn.ReLU(), nn.AvgPool2d(2)), (1, 3, 8, 8), 0),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_of_torch(name):
    module, shape, expected = MODULES[name]
    assert macs(module, torch.randn(shape)) == expected


@pytest.mark.parametrize(
    ("kernel", "groups", "scale"),
    [(3, 1, 1), (5, 1, 2), (3, 4, 1), (5, 2, 3)],
)
def test_reassembly_is_one_multiply_add_per_tap_and_value(kernel, groups, scale):
    x, weight = torch.randn(2, 8, 5, 7), torch.randn(2, groups * kernel**2, 5 * scale, 7 * scale)
    found = macs(Call(lambda x, w: reassemble(x, w, groups, scale)), x, weight)
    assert found == kernel**2 * 2 * 8 * (5 * scale) * (7 * scale)


@pytest.mark.parametrize("scale", [1, 2])
def test_cross_similarity_is_one_inner_product_per_tap_and_fine_pixel(scale):
    query, key = torch.randn(2, 6, 4 * scale, 5 * scale), torch.randn(2, 6, 4, 5)
    assert macs(Call(lambda q, k: cross_similarity(q, k, 3, scale)), query, key) == 9 * 2 * 6 * 4 * 5 * scale**2


@pytest.mark.parametrize(("metric", "products"), [("dot", 8), ("cosine", 9)])
def test_local_similarity_is_one_inner_product_per_neighbour(metric, products):
    x = torch.randn(2, 6, 4, 5)
    assert macs(Call(lambda x: local_similarity(x, 3, 2, metric)), x) == products * 2 * 6 * 4 * 5


def test_sampling_is_four_multiply_adds_per_value():
    x, points = torch.randn(2, 8, 5, 6), torch.rand(2, 4, 2, 9, 7)
    expected = 4 * 2 * 8 * 9 * 7
    assert macs(Call(point_sample), x, points) == expected
    assert macs(Call(lambda x: F.interpolate(x, size=(9, 7), mode="bilinear")), x) == expected
    assert macs(Call(lambda x: F.interpolate(x, size=(9, 7), mode="nearest")), x) == 0
    grid = torch.rand(2, 9, 7, 2)
    assert macs(Call(lambda x: F.grid_sample(x, grid, align_corners=False)), x) == expected


def test_deformable_aggregation_is_five_multiply_adds_per_tap_and_value():
    x, offsets, weights = torch.randn(2, 8, 9, 7), torch.randn(2, 4, 9, 2, 5, 4), torch.rand(2, 4, 9, 5, 4)
    assert macs(Call(lambda *inputs: deformable_aggregation(*inputs, stride=2)), x, offsets, weights) == (
        5 * 9 * 2 * 8 * 5 * 4
    )


def test_softmax_counts_as_nothing():
    assert macs(Call(lambda x: kernel_normalize(x, 3, torch.ones(3, 3))), torch.randn(1, 9, 4, 4)) == 0


def test_attention_is_two_matrix_products():
    x = torch.randn(2, 3, 10, 8)
    attend = Call(lambda x: F.scaled_dot_product_attention(x, x, x))
    assert macs(attend, x) == 2 * (2 * 3 * 10 * 10 * 8)


def test_low_pass_by_matrices_is_one_product_per_axis():
    x = torch.randn(1, 4, 10, 12)
    assert macs(Call(lambda x: low_pass(x, 0.25)), x) == 4 * 10 * 12 * (10 + 12)


def test_low_pass_by_transforms_is_a_transform_there_and_back():
    x = torch.randn(1, 2, 1024, 4)
    size = 1024 * 4
    assert macs(Call(lambda x: low_pass(x, 0.25)), x) == 2 * (2 * 2.5 * size * math.log2(size)) / 2


@pytest.mark.parametrize(
    ("name", "options", "giga", "tolerance"),
    [
        ("carafe", {}, 1.45, 0.01),
        ("indexnet", {}, 30.65, 0.01),
        ("a2u", {}, 0.41, 0.02),
        ("fade", {}, 2.65, 0.02),
        ("fade", {"lite": True}, 0.89, 0.04),
        ("sapa", {"embedding_channels": 32}, 1.02, 0.01),
    ],
)
def test_six_fusions_in_segformer_count_as_published(name, options, giga, tolerance):
    """At 512 x 512, over SegFormer-B1 alone; papers leave out or add a few element-wise operations."""
    total = 0
    for fusions, side in ((3, 128), (2, 64), (1, 32)):
        fusion = create_fusion(name, 256, 256, **options).to("meta")
        fine, coarse = (torch.empty(1, 256, size, size, device="meta") for size in (side, side // 2))
        total += fusions * macs(fusion, fine, coarse)
    assert total / 1e9 == pytest.approx(giga, rel=tolerance)


def test_parts_get_what_runs_inside_them():
    inner, outer = nn.Conv2d(3, 4, 1), nn.Sequential(nn.Conv2d(4, 3, 1), nn.ReLU())
    network = nn.Sequential(outer, inner)
    parts = [
        Part("all", {"": network}),
        Part("convs", {"0.0": outer[0], "1": inner}, 1),
        Part("inner", {"1": inner}, 2),
    ]
    count = count_flops(lambda: network(network(torch.randn(1, 4, 5, 5))), parts)
    assert [count.parts[part] for part in parts] == [2 * 2 * 2 * 300, 2 * 2 * 2 * 300, 2 * 2 * 300]
    assert count.operators == {"aten.convolution": 2 * 2 * 2 * 300}


def test_every_counter_of_torch_knows_our_operators_and_no_others_change():
    register_flop_formulas()
    register_flop_formulas()
    x, weight = torch.randn(1, 4, 6, 6), torch.randn(1, 9, 6, 6)
    with FlopCounterMode(display=False) as counter:
        F.interpolate(reassemble(x, weight), size=(9, 9), mode="bilinear")
    assert counter.get_total_flops() == 2 * 9 * 4 * 36
