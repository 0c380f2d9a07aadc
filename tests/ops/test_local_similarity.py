# SPDX-License-Identifier: Apache-2.0
"""Local similarity against a loop over pixels and neighbours."""

import pytest
import torch

from dealias.ops import local_similarity
from dealias.ops.local_similarity import local_similarity_reference
from dealias.testing import assert_close, check_op

CASES = [((2, 5, 4, 6), 3, 2), ((1, 11, 5, 3), 5, 1), ((1, 3, 1, 1), 3, 2), ((1, 9, 2, 7), 3, 3)]


def loop(x, k, dilation, metric):
    n, _, h, w = x.shape
    out = torch.zeros(n, k * k - 1, h, w, dtype=x.dtype)
    taps = [t for t in range(k * k) if t != k * k // 2]
    for b in range(n):
        for channel, t in enumerate(taps):
            for i in range(h):
                for j in range(w):
                    y, z = i + (t // k - k // 2) * dilation, j + (t % k - k // 2) * dilation
                    if 0 <= y < h and 0 <= z < w:
                        value = torch.dot(x[b, :, i, j], x[b, :, y, z])
                        if metric == "cosine":
                            value = value / (x[b, :, i, j].norm().clamp(1e-8) * x[b, :, y, z].norm().clamp(1e-8))
                        out[b, channel, i, j] = value
    return out


@pytest.mark.parametrize("metric", ["cosine", "dot"])
@pytest.mark.parametrize(("shape", "k", "dilation"), CASES)
def test_equals_the_definition(shape, k, dilation, metric):
    x = torch.randn(shape, dtype=torch.float64)
    expected = loop(x, k, dilation, metric)
    assert_close(local_similarity(x, k, dilation, metric), expected)
    assert_close(local_similarity_reference(x, k, dilation, metric), expected)


@pytest.mark.parametrize("metric", ["cosine", "dot"])
@pytest.mark.parametrize(("shape", "k", "dilation"), CASES[:3])
def test_gradient_equals_the_reference(shape, k, dilation, metric):
    inputs = [torch.randn(shape), k, dilation, metric]
    if shape[-1] == 1:  # no neighbour: no gradient, and nothing for gradcheck to compare
        x = inputs[0].requires_grad_()
        assert not torch.autograd.grad(local_similarity(*inputs).sum(), x)[0].any()
        return
    check_op(local_similarity, local_similarity_reference, inputs)


def test_zero_vectors_are_similar_to_nothing():
    x = torch.randn(1, 4, 5, 5, dtype=torch.float64)
    x[..., 2, 2] = 0
    x.requires_grad_()
    out = local_similarity(x, 3, 1)
    assert not out[..., 2, 2].any() and out.isfinite().all()
    cotangent = torch.randn_like(out)
    ours, theirs = (torch.autograd.grad(f(x, 3, 1, "cosine"), x, cotangent)[0] for f in (local_similarity, loop))
    assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_layouts_and_empty_batches(dtype):
    x = torch.randn(2, 20, 6, 5).to(dtype)
    out = local_similarity(x.to(memory_format=torch.channels_last))
    assert out.dtype == dtype and out.is_contiguous(memory_format=torch.channels_last)
    assert_close(out, local_similarity(x.double()))
    assert_close(local_similarity(x.repeat_interleave(2, 3)[..., ::2]), out)
    assert local_similarity(x[:0]).shape == (0, 8, 6, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert local_similarity(x).dtype == torch.float32


@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_registration(metric):
    x = torch.randn(2, 5, 6, 4, requires_grad=True)
    torch.library.opcheck(torch.ops.dealias.local_similarity.default, (x, 3, 2, metric))
    arguments = (torch.randn(2, 8, 6, 4), x.detach(), 3, 2, metric)
    torch.library.opcheck(torch.ops.dealias.local_similarity_backward.default, arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(3, 4, 4),), "B, C, H, W"),
        ((torch.zeros(1, 3, 4, 4, dtype=torch.int64),), "int64"),
        ((torch.zeros(1, 3, 4, 4), 4), "odd"),
        ((torch.zeros(1, 3, 4, 4), 3, 0), "dilation"),
        ((torch.zeros(1, 3, 4, 4), 3, 1, "cos"), "'cosine' or 'dot'"),
    ],
)
def test_wrong_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        local_similarity(*arguments)
