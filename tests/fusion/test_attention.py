# SPDX-License-Identifier: Apache-2.0
"""Spatial self-attention against plain softmax, window by window, and its memory."""

import json

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from dealias.fusion import create_fusion
from dealias.fusion.attention import WINDOW, SpatialAttention, spatial_attention
from dealias.testing import assert_close
from dealias.testing.modules import check_compile, check_export, check_layouts, check_precisions

MB = 10**6


def plain(x):
    """``x + softmax(x x^T / sqrt(C)) x`` over all pixels, the weights held as a matrix."""
    pixels = x.flatten(2).transpose(1, 2)
    weights = torch.softmax(pixels @ pixels.transpose(1, 2) / x.shape[1] ** 0.5, dim=-1)
    return x + (weights @ pixels).transpose(1, 2).reshape(x.shape)


def plain_windows(x, window):
    strips = [[plain(part) for part in strip.split(window, dim=3)] for strip in x.split(window, dim=2)]
    return torch.cat([torch.cat(strip, dim=3) for strip in strips], dim=2)


@pytest.mark.parametrize("window", [None, 1, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (4, 8), (11, 9), (12, 8)])
def test_equals_plain_softmax_with_its_gradient(size, window):
    x = torch.randn(2, 6, *size, dtype=torch.float64, requires_grad=True)
    actual, expected = SpatialAttention(window)(x), plain(x) if window is None else plain_windows(x, window)
    assert_close(actual, expected)
    cotangent = torch.randn_like(x)
    gradients = (torch.autograd.grad(out, x, cotangent)[0] for out in (actual, expected))
    assert_close(*gradients)


def test_the_named_window_is_exact_up_to_its_size():
    full, window = spatial_attention("full"), spatial_attention("window")
    small, large = torch.randn(1, 4, WINDOW, WINDOW - 3), torch.randn(1, 4, WINDOW, WINDOW + 1)
    assert torch.equal(window(small), full(small))
    assert not torch.allclose(window(large), full(large), atol=1e-2)
    assert_close(window(large), plain_windows(large, WINDOW))
    assert spatial_attention(None) is None


@pytest.mark.parametrize("window", [None, 5])
def test_promises_of_a_module(window):
    attention = SpatialAttention(window).eval()
    check_precisions(attention, [torch.randn(2, 8, 13, 9)])
    check_layouts(attention, [torch.randn(2, 8, 13, 9)])
    sizes = [[torch.randn(2, 8, *size)] for size in ((12, 16), (27, 18), (4, 5), (33, 7), (10, 40))]
    check_compile(attention, sizes[:2])
    check_export(attention, ("x",), sizes)


def test_weights_are_dropped_in_training_only():
    attention, x = SpatialAttention(dropout=0.5), torch.randn(1, 4, 5, 6)
    assert not torch.allclose(attention(x), plain(x), atol=1e-2)
    assert_close(attention.eval()(x), plain(x))


@pytest.fixture
def peak_bytes(tmp_path):
    """``peak_bytes(call)``: most bytes that tensors made during a call held at once, its results included."""

    def measure(call):
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            call()
        profiler.export_chrome_trace(str(tmp_path / "trace.json"))
        events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
        held = peak = 0
        for event in sorted((e for e in events if e.get("name") == "[memory]"), key=lambda e: e["ts"]):
            held += event["args"]["Bytes"]
            peak = max(peak, held)
        return peak

    return measure


@torch.no_grad()
def test_the_measure_sees_the_matrix_of_weights(peak_bytes):
    x = torch.randn(1, 8, 32, 32)
    assert peak_bytes(lambda: plain(x)) > 1024**2 * 4


@pytest.mark.parametrize(
    ("window", "channels", "allowed"), [(None, 16, 200), (WINDOW, 64, 20), (WINDOW, 256, 20)], ids=str
)
@torch.no_grad()
def test_memory_beside_the_result(peak_bytes, window, channels, allowed):
    """On 128 x 128 pixels, where the matrix of weights alone would be 1074 MB."""
    x = torch.randn(1, channels, 128, 128)
    assert peak_bytes(lambda: SpatialAttention(window)(x)) - x.nbytes < allowed * MB


@pytest.mark.parametrize(("kind", "channels", "allowed"), [("full", 16, 200), ("window", 32, 20)])
def test_memory_of_a_training_step(peak_bytes, kind, channels, allowed):
    """What attention adds to a fusion's step on 128 x 128 pixels, values and gradients kept for it included."""
    hr, lr = torch.randn(1, channels, 128, 128), torch.randn(1, channels, 64, 64)
    peaks = []
    for attention in (None, kind):
        fusion = create_fusion("freqfusion", channels, channels, attention=attention)
        peaks.append(peak_bytes(lambda fusion=fusion: sum(out.square().mean() for out in fusion(hr, lr)).backward()))
    assert peaks[1] - peaks[0] < allowed * MB


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="None, 'full' or 'window', got 'windows'"):
        spatial_attention("windows")
    with pytest.raises(ValueError, match="at least 1, got 0"):
        SpatialAttention(0)
