# SPDX-License-Identifier: Apache-2.0
"""Grouped point sampling against a loop over points."""

import math

import pytest
import torch

from dealias.ops import point_sample
from dealias.ops.point_sample import point_sample_reference
from dealias.testing import assert_close, check_op

CASES = [  # batch, channels, groups, height, width, output height, output width
    (2, 4, 2, 5, 6, 3, 7),
    (1, 3, 1, 1, 1, 2, 2),
    (1, 6, 3, 4, 1, 5, 2),
]


def loop(x, points):
    n, c, h, w = x.shape
    groups, out_h, out_w = points.shape[1], points.shape[3], points.shape[4]
    out = torch.zeros(n, c, out_h, out_w, dtype=x.dtype)
    for b in range(n):
        for ch in range(c):
            for i in range(out_h):
                for j in range(out_w):
                    px, py = points[b, ch // (c // groups), :, i, j].tolist()
                    px, py = min(max(px, 0.0), w - 1), min(max(py, 0.0), h - 1)
                    x0, y0 = math.floor(px), math.floor(py)
                    for y, wy in ((y0, 1 - (py - y0)), (y0 + 1, py - y0)):
                        for z, wz in ((x0, 1 - (px - x0)), (x0 + 1, px - x0)):
                            if wy * wz > 0:
                                out[b, ch, i, j] += wy * wz * x[b, ch, y, z]
    return out


def sample(case, dtype=torch.float64, margin=2.0):
    """Points also outside the map, none closer than 0.01 to a pixel centre, where the gradient jumps."""
    n, c, groups, h, w, out_h, out_w = case
    size = torch.tensor([w, h], dtype=dtype)[:, None, None]
    points = torch.rand(n, groups, 2, out_h, out_w, dtype=dtype) * (size + 2 * margin) - margin
    points = points.floor() + (points - points.floor()).clamp(0.01, 0.99)
    return torch.randn(n, c, h, w, dtype=dtype), points


@pytest.mark.parametrize("case", CASES)
def test_equals_the_definition(case):
    x, points = sample(case)
    expected = loop(x, points)
    assert_close(point_sample(x, points), expected)
    assert_close(point_sample_reference(x, points), expected)


@pytest.mark.parametrize("case", CASES)
def test_gradients_equal_the_reference(case):
    x, points = sample(case)
    check_op(point_sample, point_sample_reference, [x, points])


def test_pixel_centres_give_the_pixels():
    x = torch.randn(1, 2, 3, 4)
    y_of, x_of = torch.meshgrid(torch.arange(3.0), torch.arange(4.0), indexing="ij")
    assert_close(point_sample(x, torch.stack([x_of, y_of])[None, None]), x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_and_layouts(dtype):
    x, points = sample(CASES[0], torch.float32)
    out = point_sample(
        x.to(dtype).to(memory_format=torch.channels_last), points.transpose(3, 4).contiguous().transpose(3, 4)
    )
    assert out.dtype == dtype and out.is_contiguous(memory_format=torch.channels_last)
    assert_close(out, point_sample(x.to(dtype).double(), points.double()))
    assert point_sample(x[:0], points[:0]).shape == (0, *out.shape[1:])
    with torch.autocast("cpu", torch.bfloat16):
        assert point_sample(x.to(dtype), points).dtype == torch.float32


def test_registration():
    x, points = sample(CASES[0], torch.float32)
    torch.library.opcheck(torch.ops.dealias.point_sample.default, (x.requires_grad_(), points.requires_grad_()))
    for need in ((True, True), (True, False), (False, True)):
        arguments = (torch.randn(2, 4, 3, 7), x.detach(), points.detach(), *need)
        torch.library.opcheck(torch.ops.dealias.point_sample_backward.default, arguments)


@pytest.mark.parametrize(
    ("x", "points", "message"),
    [
        (torch.zeros(3, 4, 4), torch.zeros(1, 1, 2, 4, 4), "needs x"),
        (torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 3, 4, 4), "needs x"),
        (torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 2, 4, 4), "do not divide 3"),
        (torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 2, 4, 4).bfloat16(), "bfloat16"),
    ],
)
def test_wrong_input_is_named(x, points, message):
    with pytest.raises(ValueError, match=message):
        point_sample(x, points)
