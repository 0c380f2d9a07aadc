# SPDX-License-Identifier: Apache-2.0
"""Similarity across resolutions against a loop over pixels and taps."""

import pytest
import torch

from dealias.ops import cross_similarity
from dealias.ops.cross_similarity import cross_similarity_reference
from dealias.testing import assert_close, check_op

CASES = [((2, 5, 3, 4), 3, 2), ((1, 11, 4, 2), 5, 1), ((1, 3, 1, 1), 5, 2), ((1, 9, 2, 3), 1, 3)]


def maps(shape, scale, dtype=torch.float64):
    n, c, h, w = shape
    return torch.randn(n, c, h * scale, w * scale, dtype=dtype), torch.randn(shape, dtype=dtype)


def loop(query, key, k, scale):
    n, _, height, width = query.shape
    out = torch.zeros(n, k * k, height, width, dtype=query.dtype)
    for b in range(n):
        for t in range(k * k):
            for i in range(height):
                for j in range(width):
                    y, x = i // scale + t // k - k // 2, j // scale + t % k - k // 2
                    if 0 <= y < key.shape[2] and 0 <= x < key.shape[3]:
                        out[b, t, i, j] = torch.dot(query[b, :, i, j], key[b, :, y, x])
    return out


@pytest.mark.parametrize(("shape", "k", "scale"), CASES)
def test_equals_the_definition(shape, k, scale):
    query, key = maps(shape, scale)
    expected = loop(query, key, k, scale)
    assert_close(cross_similarity(query, key, k, scale), expected)
    assert_close(cross_similarity_reference(query, key, k, scale), expected)


@pytest.mark.parametrize(("shape", "k", "scale"), CASES)
def test_gradients_equal_the_reference(shape, k, scale):
    check_op(cross_similarity, cross_similarity_reference, [*maps(shape, scale), k, scale])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_layouts_and_empty_batches(dtype):
    query, key = (x.to(dtype) for x in maps((2, 20, 3, 5), 2))
    out = cross_similarity(query.to(memory_format=torch.channels_last), key, 3, 2)
    assert out.dtype == dtype and out.is_contiguous()
    assert_close(out, cross_similarity(query.double(), key.double(), 3, 2))
    assert_close(cross_similarity(query, key.repeat_interleave(2, 3)[..., ::2], 3, 2), out)
    assert cross_similarity(query[:0], key[:0], 3, 2).shape == (0, 9, 6, 10)
    with torch.autocast("cpu", torch.bfloat16):
        assert cross_similarity(query, key.float(), 3, 2).dtype == torch.float32


def test_registration():
    query, key = (x.requires_grad_() for x in maps((2, 5, 3, 2), 2, torch.float32))
    torch.library.opcheck(torch.ops.dealias.cross_similarity.default, (query, key, 3, 2))


@pytest.mark.parametrize(
    ("query", "key", "options", "message"),
    [
        (torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 2, 2), (4, 2), "odd"),
        (torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 2, 2), (3, 0), "scale"),
        (torch.zeros(1, 3, 4, 5), torch.zeros(1, 3, 2, 2), (3, 2), "at scale 2"),
        (torch.zeros(1, 4, 4, 4), torch.zeros(1, 3, 2, 2), (3, 2), "at scale 2"),
        (torch.zeros(3, 4, 4), torch.zeros(3, 2, 2), (3, 2), "B, C, H, W"),
        (torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 2, 2).half(), (3, 2), "float16"),
    ],
)
def test_wrong_input_is_named(query, key, options, message):
    with pytest.raises(ValueError, match=message):
        cross_similarity(query, key, *options)
