# SPDX-License-Identifier: Apache-2.0
"""Content-aware reassembly against a loop over its definition."""

import pytest
import torch

from dealias.ops import reassemble
from dealias.ops.reassemble import _shifted, reassemble_reference
from dealias.testing import assert_close, check_op

CASES = [  # batch, channels, height, width, kernel, groups, scale, dilation
    (2, 4, 5, 7, 3, 1, 1, 1),
    (1, 6, 4, 3, 5, 2, 2, 1),
    (1, 3, 2, 2, 3, 3, 3, 1),
    (2, 4, 6, 7, 3, 2, 2, 2),
    (2, 2, 1, 1, 5, 1, 2, 1),
    (1, 4, 2, 9, 1, 2, 2, 1),
    (1, 2, 3, 4, 7, 1, 1, 1),
    (1, 2, 3, 9, 3, 1, 1, 4),
]


def loop(x, weight, groups, scale, dilation):
    n, c, h, w = x.shape
    taps = weight.shape[1] // groups
    k = round(taps**0.5)
    out = torch.zeros(n, c, h * scale, w * scale, dtype=x.dtype)
    for b in range(n):
        for ch in range(c):
            group = ch // (c // groups)
            for i in range(h * scale):
                for j in range(w * scale):
                    for t in range(taps):
                        dy, dx = (t // k - k // 2) * dilation, (t % k - k // 2) * dilation
                        y, z = i // scale + dy, j // scale + dx
                        if 0 <= y < h and 0 <= z < w:
                            out[b, ch, i, j] += weight[b, group * taps + t, i, j] * x[b, ch, y, z]
    return out


def sample(case, dtype=torch.float64):
    n, c, h, w, k, groups, scale, dilation = case
    x = torch.randn(n, c, h, w, dtype=dtype)
    return x, torch.randn(n, groups * k * k, h * scale, w * scale, dtype=dtype), groups, scale, dilation


@pytest.mark.parametrize("case", CASES)
def test_equals_the_definition(case):
    inputs = sample(case)
    expected = loop(*inputs)
    assert_close(reassemble(*inputs), expected)
    assert_close(reassemble_reference(*inputs), expected)


@pytest.mark.parametrize("case", CASES[:4])
def test_gradients_equal_the_reference(case):
    check_op(reassemble, reassemble_reference, sample(case))


def test_blocks_of_channels_and_samples_cover_everything(monkeypatch):
    inputs = sample((3, 10, 6, 5, 3, 2, 2, 1))
    cotangent = torch.randn(3, 10, 12, 10, dtype=torch.float64)
    expected = reassemble_reference(*inputs)
    leaves = [t.requires_grad_() for t in inputs[:2]]
    expected_grads = torch.autograd.grad(reassemble_reference(*inputs), leaves, cotangent)
    for block_bytes in (1, 4 * 120 * 2, 4 * 120 * 3, 4 * 120 * 11, 10**9):
        monkeypatch.setattr(_shifted, "_BLOCK_BYTES", block_bytes)
        out = reassemble(*inputs)
        assert_close(out, expected)
        for actual, grad in zip(torch.autograd.grad(out, leaves, cotangent), expected_grads, strict=True):
            assert_close(actual, grad)


@pytest.mark.parametrize("which", [0, 1])
def test_only_the_needed_gradient_is_computed(which):
    inputs = list(sample(CASES[1]))
    expected = torch.autograd.grad(
        reassemble_reference(*[t.requires_grad_() if i < 2 else t for i, t in enumerate(inputs)]).sum(), inputs[which]
    )
    inputs[1 - which] = inputs[1 - which].detach()
    out = reassemble(*inputs)
    out.sum().backward(inputs=[inputs[which]])
    assert_close(inputs[which].grad, expected[0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sums_are_kept_in_single_precision(dtype):
    x, weight, groups, scale, _ = sample((1, 2, 9, 9, 7, 1, 1, 1))
    x, weight = x.to(dtype), weight.to(dtype)
    out = reassemble(x, weight, groups, scale)
    assert out.dtype == dtype
    exact = reassemble(x.double(), weight.double(), groups, scale)
    # one rounding to the type at the end, not one per tap
    assert (out.double() - exact).abs().max() <= torch.finfo(dtype).eps * exact.abs().max()


def test_memory_layouts_and_empty_batches():
    x, weight, groups, scale, _ = sample(CASES[1])
    expected = reassemble(x, weight, groups, scale)
    last = torch.channels_last
    assert_close(reassemble(x.to(memory_format=last), weight.to(memory_format=last), groups, scale), expected)
    strided = x.repeat_interleave(2, 3)[..., ::2], weight.transpose(2, 3).contiguous().transpose(2, 3)
    assert_close(reassemble(*strided, groups, scale), expected)
    assert reassemble(x[:0], weight[:0], groups, scale).shape == (0, *expected.shape[1:])


def test_autocast_runs_in_single_precision():
    x, weight, groups, scale, _ = sample(CASES[1], torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        out = reassemble(x.bfloat16(), weight, groups, scale)
    assert out.dtype == torch.float32


@pytest.mark.parametrize("case", CASES[:4])
def test_registration(case):
    x, weight, groups, scale, dilation = sample(case, torch.float32)
    torch.library.opcheck(torch.ops.dealias.reassemble.default, (x.requires_grad_(), weight, groups, scale, dilation))
    grad = torch.randn(*x.shape[:2], *weight.shape[-2:])
    for need in ((True, True), (True, False), (False, True)):
        arguments = (grad, x.detach(), weight, groups, scale, *need, dilation)
        torch.library.opcheck(torch.ops.dealias.reassemble_backward.default, arguments)


@pytest.mark.parametrize(
    ("x", "weight", "groups", "scale", "message"),
    [
        ((4, 5, 6), (1, 9, 5, 6), 1, 1, r"\[B, C, H, W\]"),
        ((1, 4, 5, 6), (1, 9, 5, 6), 3, 1, "groups"),
        ((1, 4, 5, 6), (1, 9, 5, 6), 1, 0, "scale"),
        ((1, 4, 5, 6), (1, 16, 5, 6), 1, 1, "k odd"),
        ((1, 4, 5, 6), (1, 9, 10, 11), 1, 2, r"needs weight \(1, 9, 10, 12\)"),
        ((2, 4, 5, 6), (1, 9, 5, 6), 1, 1, r"needs weight \(2, 9, 5, 6\)"),
    ],
)
def test_wrong_shapes_are_named(x, weight, groups, scale, message):
    with pytest.raises(ValueError, match=message):
        reassemble(torch.zeros(x), torch.zeros(weight), groups, scale)


def test_no_dilation_is_named():
    with pytest.raises(ValueError, match="got 1, 1, 0"):
        reassemble(torch.zeros(1, 1, 2, 2), torch.zeros(1, 9, 2, 2), dilation=0)


def test_wrong_dtypes_are_named():
    with pytest.raises(ValueError, match=r"torch.float32 and torch.float64"):
        reassemble(torch.zeros(1, 1, 2, 2), torch.zeros(1, 9, 2, 2, dtype=torch.float64))
