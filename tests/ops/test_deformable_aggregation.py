# SPDX-License-Identifier: Apache-2.0
"""Deformable aggregation against a loop over taps."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from dealias.ops import deformable_aggregation
from dealias.ops.deformable_aggregation import deformable_aggregation_reference
from dealias.testing import assert_close, check_op

CASES = {  # batch, channels, groups, height, width, removed taps, (kernel, stride, padding, dilation, offset scale)
    "3x3": (2, 4, 2, 3, 2, 0, (3, 1, 1, 1, 1.0)),
    "one pixel": (1, 2, 2, 1, 1, 0, (3, 1, 1, 1, 1.0)),
    "one row, doubled offsets": (1, 3, 1, 1, 5, 0, (3, 1, 1, 1, 2.0)),
    "stride": (1, 4, 2, 5, 4, 0, (3, 2, 1, 1, 1.0)),
    "dilated, halved offsets": (1, 2, 1, 4, 3, 0, (3, 1, 2, 2, 0.5)),
    "5x5 without centre": (1, 2, 1, 2, 3, 1, (5, 1, 2, 1, 1.0)),
    "even kernel, no padding": (1, 2, 1, 5, 4, 0, (2, 1, 0, 2, 1.0)),
}
with_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def loop(x, offsets, weights, kernel=3, stride=1, padding=1, dilation=1, scale=1.0):
    n, c, h, w = x.shape
    _, groups, count, out_h, out_w = weights.shape
    middle = dilation * (kernel - 1) // 2
    taps = [(kx, ky) for kx in range(kernel) for ky in range(kernel)]
    if count < len(taps):
        taps.remove((kernel // 2, kernel // 2))
    out = torch.zeros(n, c, out_h, out_w, dtype=x.dtype)
    for b, ch, i, j in itertools.product(range(n), range(c), range(out_h), range(out_w)):
        g = ch // (c // groups)
        for tap, (kx, ky) in enumerate(taps):
            dx, dy = offsets[b, g, tap, :, i, j].tolist()
            px = j * stride - padding + middle + scale * (kx * dilation - middle + dx)
            py = i * stride - padding + middle + scale * (ky * dilation - middle + dy)
            for row, column in itertools.product(
                (math.floor(py), math.floor(py) + 1), (math.floor(px), math.floor(px) + 1)
            ):
                if 0 <= row < h and 0 <= column < w:
                    share = (1 - abs(py - row)) * (1 - abs(px - column))
                    out[b, ch, i, j] += weights[b, g, tap, i, j] * share * x[b, ch, row, column]
    return out


def sample(case, dtype=torch.float64):
    """Offsets of up to two pixels, so that samples leave the map, and none close to a pixel centre."""
    n, c, groups, h, w, removed, (kernel, stride, padding, dilation, scale) = case
    out = [(size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1 for size in (h, w)]
    taps = kernel**2 - removed
    moved = torch.randint(-2, 2, (n, groups, taps, 2, *out)) + torch.rand(n, groups, taps, 2, *out) * 0.8 + 0.1
    offsets = moved.to(dtype) / scale
    return torch.randn(n, c, h, w, dtype=dtype), offsets, torch.randn(n, groups, taps, *out, dtype=dtype)


@with_case
def test_equals_the_definition(case):
    inputs = (*sample(case), *case[-1])
    expected = loop(*inputs)
    assert_close(deformable_aggregation(*inputs), expected)
    assert_close(deformable_aggregation_reference(*inputs), expected)


@with_case
def test_gradients_equal_the_reference(case):
    check_op(deformable_aggregation, deformable_aggregation_reference, [*sample(case), *case[-1]])


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 1, 1), (2, 0, 1), (1, 3, 2)])
def test_without_offsets_it_is_a_convolution(stride, padding, dilation):
    x, kernel = torch.randn(2, 3, 8, 9), torch.randn(3, 3)
    depthwise = kernel.expand(3, 1, 3, 3)
    expected = F.conv2d(x, depthwise, None, stride, padding, dilation, groups=3)
    size = expected.shape[-2:]
    weights = kernel.T.reshape(1, 1, 9, 1, 1).expand(2, 1, 9, *size)  # taps go column by column
    found = deformable_aggregation(x, torch.zeros(2, 1, 9, 2, *size), weights, 3, stride, padding, dilation)
    assert_close(found, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_layouts(dtype):
    inputs = [t.to(dtype) for t in sample(CASES["3x3"], torch.float32)]
    out = deformable_aggregation(*inputs)
    assert out.dtype == dtype and out.is_contiguous()
    assert_close(out, deformable_aggregation(*(t.double() for t in inputs)))
    assert torch.equal(
        deformable_aggregation(*(t.transpose(-1, -2).contiguous().transpose(-1, -2) for t in inputs)), out
    )
    strided = [t.repeat_interleave(2, dim=-1)[..., ::2] for t in inputs]
    assert torch.equal(deformable_aggregation(inputs[0].to(memory_format=torch.channels_last), *strided[1:]), out)
    leaves = [t.requires_grad_() for t in inputs]
    grads = torch.autograd.grad(deformable_aggregation(*leaves).sum(), leaves)
    assert [g.dtype for g in grads] == [dtype] * 3
    with torch.autocast("cpu", torch.bfloat16):
        assert deformable_aggregation(*inputs).dtype == torch.float32


def test_offsets_may_be_finer_than_features():
    x, offsets, weights = sample(CASES["3x3"], torch.float32)
    out = deformable_aggregation(x.bfloat16(), offsets, weights)
    assert out.dtype == torch.bfloat16
    assert_close(out, deformable_aggregation(x.bfloat16().double(), offsets.double(), weights.double()))


def test_no_images():
    leaves = [t[:0].requires_grad_() for t in sample(CASES["3x3"], torch.float32)]
    out = deformable_aggregation(*leaves)
    assert out.shape == (0, 4, 3, 2)
    assert [g.shape for g in torch.autograd.grad(out.sum(), leaves)] == [t.shape for t in leaves]


def test_registration():
    inputs = sample(CASES["stride"], torch.float32)
    geometry = (3, 2, 1, 1)
    operators = torch.ops.dealias
    leaves = [t.requires_grad_() for t in inputs]
    torch.library.opcheck(operators.deformable_aggregation.default, (*leaves, geometry, 1.0))
    detached = [t.detach() for t in inputs]
    gradient = torch.randn(1, 4, 3, 2)
    for need in ((True, True, True), (True, False, False), (False, True, True)):
        arguments = (gradient, *detached, geometry, 1.0, list(need))
        torch.library.opcheck(operators.deformable_aggregation_backward.default, arguments)


@pytest.mark.parametrize("needed", [(True, False, False), (False, True, False), (False, False, True)])
def test_single_gradients(needed):
    inputs = sample(CASES["3x3"])
    every = [t.clone().requires_grad_() for t in inputs]
    some = [t.clone().requires_grad_(n) for t, n in zip(inputs, needed, strict=True)]
    deformable_aggregation(*every).sum().backward()
    deformable_aggregation(*some).sum().backward()
    for leaf, other, n in zip(some, every, needed, strict=True):
        assert (leaf.grad is not None) == n
        assert not n or torch.equal(leaf.grad, other.grad)


def zeros(*shapes):
    return [torch.zeros(shape) for shape in shapes]


@pytest.mark.parametrize(
    ("tensors", "numbers", "message"),
    [
        (zeros((4, 5, 5), (1, 1, 9, 2, 5, 5), (1, 1, 9, 5, 5)), (3, 1, 1, 1), "needs floating x"),
        (zeros((1, 4, 5, 5), (1, 1, 9, 2, 5, 5), (1, 9, 5, 5)), (3, 1, 1, 1), "needs floating x"),
        (zeros((1, 4, 5, 5), (1, 1, 7, 2, 5, 5), (1, 1, 7, 5, 5)), (3, 1, 1, 1), "kernel of 3 has 9 taps.* got 7"),
        (zeros((1, 4, 5, 5), (1, 1, 3, 2, 4, 4), (1, 1, 3, 4, 4)), (2, 1, 0, 1), "kernel of 2 has 4 taps.* got 3"),
        (zeros((1, 4, 5, 5), (1, 1, 9, 2, 5, 5), (1, 1, 9, 5, 5)), (3, 2, 1, 1), r"give outputs of \(3, 3\)"),
        (zeros((1, 4, 5, 5), (1, 1, 9, 5, 5, 2), (1, 1, 9, 5, 5)), (3, 1, 1, 1), r"got offsets \(1, 1, 9, 5, 5, 2\)"),
        (zeros((1, 4, 5, 5), (1, 3, 9, 2, 5, 5), (1, 3, 9, 5, 5)), (3, 1, 1, 1), "3 groups do not divide 4"),
        (zeros((1, 4, 5, 5), (1, 1, 9, 2, 5, 5), (1, 1, 9, 5, 5)), (3, 0, 1, 1), "at least 1, got .*stride=0"),
    ],
)
def test_wrong_input_is_named(tensors, numbers, message):
    with pytest.raises(ValueError, match=message):
        deformable_aggregation(*tensors, *numbers)
