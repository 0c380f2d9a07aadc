# SPDX-License-Identifier: Apache-2.0
"""Kernel normalisation against its formula, tap by tap."""

import math

import pytest
import torch

from dealias.ops import kernel_normalize
from dealias.ops.kernel_normalize import kernel_normalize_reference
from dealias.testing import assert_close, check_op


def loop(logits, k, window):
    n, c, h, w = logits.shape
    out = torch.zeros_like(logits)
    for b in range(n):
        for first in range(0, c, k * k):
            for i in range(h):
                for j in range(w):
                    taps = [math.exp(logits[b, first + t, i, j]) * window[t] for t in range(k * k)]
                    for t, tap in enumerate(taps):
                        out[b, first + t, i, j] = tap / sum(taps)
    return out


@pytest.mark.parametrize("windowed", [False, True])
@pytest.mark.parametrize(("shape", "k"), [((2, 18, 3, 2), 3), ((1, 25, 1, 1), 5), ((1, 3, 2, 4), 1)])
def test_equals_the_definition(shape, k, windowed):
    logits = torch.randn(shape, dtype=torch.float64)
    window = torch.rand(k, k, dtype=torch.float64) + 0.1 if windowed else None
    expected = loop(logits, k, [1.0] * k * k if window is None else window.flatten().tolist())
    assert_close(kernel_normalize(logits, k, window), expected)
    assert_close(kernel_normalize_reference(logits, k, window), expected)


@pytest.mark.parametrize("window", [None, torch.hamming_window(3, periodic=False).outer(torch.ones(3))])
def test_gradient_equals_the_reference(window):
    check_op(
        lambda logits: kernel_normalize(logits, 3, window),
        lambda logits: kernel_normalize_reference(logits, 3, window),
        [torch.randn(2, 18, 4, 3)],
    )


def test_taps_outside_the_window_vanish_and_large_logits_do_not_overflow():
    window = torch.zeros(3, 3)
    window[1] = 1
    kernels = kernel_normalize(torch.full((1, 9, 2, 2), 1e4), 3, window)
    assert_close(kernels[0, 3:6], torch.full((3, 2, 2), 1 / 3))
    assert not kernels[0, :3].any() and not kernels[0, 6:].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_layouts_and_empty_batches(dtype):
    logits = torch.randn(2, 9, 5, 4).to(dtype)
    out = kernel_normalize(logits.to(memory_format=torch.channels_last), 3)
    assert out.dtype == dtype and out.is_contiguous()
    assert_close(out, kernel_normalize(logits.double(), 3))
    assert kernel_normalize(logits[:0], 3).shape == (0, 9, 5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert kernel_normalize(logits, 3).dtype == torch.float32


@pytest.mark.parametrize("window", [None, torch.ones(3, 3)])
def test_registration(window):
    logits = torch.randn(2, 18, 3, 4, requires_grad=True)
    torch.library.opcheck(torch.ops.dealias.kernel_normalize.default, (logits, 3, window))
    kernels = kernel_normalize(logits, 3, window).detach()
    torch.library.opcheck(torch.ops.dealias.kernel_normalize_backward.default, (torch.rand(2, 18, 3, 4), kernels, 3))


@pytest.mark.parametrize(
    ("logits", "k", "window", "message"),
    [
        (torch.zeros(9, 2, 2), 3, None, "B, C, H, W"),
        (torch.zeros(1, 9, 2, 2, dtype=torch.int64), 3, None, "int64"),
        (torch.zeros(1, 10, 2, 2), 3, None, "10 channels"),
        (torch.zeros(1, 16, 2, 2), 4, None, "odd"),
        (torch.zeros(1, 9, 2, 2), 3, torch.ones(5, 5), "9 weights"),
    ],
)
def test_wrong_input_is_named(logits, k, window, message):
    with pytest.raises(ValueError, match=message):
        kernel_normalize(logits, k, window)
