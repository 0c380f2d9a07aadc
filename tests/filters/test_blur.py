# SPDX-License-Identifier: Apache-2.0
"""Binomial and adaptive blur against scipy and a loop over pixels."""

import numpy as np
import pytest
import torch
from scipy import ndimage, signal

from dealias.filters import AdaptiveBlur, Blur
from dealias.testing import assert_close

SIZES = [(9, 12), (7, 5), (4, 3), (2, 6), (1, 5), (2, 2), (1, 1)]
SCIPY_BORDER = {"reflect": "mirror", "replicate": "nearest", "zero": "constant"}
NUMPY_BORDER = {"reflect": "reflect", "replicate": "edge", "zero": "constant"}


@pytest.mark.parametrize("border", SCIPY_BORDER)
@pytest.mark.parametrize("taps", range(1, 8))
def test_blur_equals_a_convolution_along_each_axis(taps, border):
    kernel = np.ones(1)
    for _ in range(taps - 1):
        kernel = signal.convolve(kernel, [0.5, 0.5])
    blur = Blur(None, taps=taps, border=border)
    for size in SIZES:
        x = torch.randn(2, 3, *size, dtype=torch.float64)
        expected = x.numpy()
        for axis in (2, 3):  # an even kernel starts left of the pixel: scipy's origin counts from the right of it
            origin = -1 if taps % 2 == 0 else 0
            expected = ndimage.correlate1d(expected, kernel, axis, mode=SCIPY_BORDER[border], origin=origin)
        assert_close(blur(x), torch.from_numpy(expected))


def loop(blur, x):
    """Every pixel's window, weighed by the softmax of its logits: one softmax per group or, released, one in all."""
    k, reach = blur.kernel_size, blur.kernel_size // 2
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (reach, reach), (reach, reach)), mode=NUMPY_BORDER[blur.border])
    weight, bias = (p.detach().numpy() for p in (blur.norm.weight, blur.norm.bias))
    scale = weight / np.sqrt(blur.norm.running_var.numpy() + blur.norm.eps)
    out = np.zeros(x.shape)
    for b, c, i, j in np.ndindex(*x.shape):
        window = padded[b, :, i : i + k, j : j + k]
        logits = (blur.conv.weight.detach().numpy() * window).sum((1, 2, 3))
        logits = ((logits - blur.norm.running_mean.numpy()) * scale + bias).reshape(blur.groups, k * k)
        group = c * blur.groups // x.shape[1]
        total = np.exp(logits).sum() if blur.released else np.exp(logits[group]).sum()
        out[b, c, i, j] = (np.exp(logits[group]).reshape(k, k) / total * window[c]).sum()
    return torch.from_numpy(out)


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize(
    ("size", "kernel_size", "groups", "border"),
    [
        ((5, 4), 3, 2, "reflect"),
        ((3, 2), 5, 3, "reflect"),
        ((1, 2), 3, 1, "reflect"),
        ((4, 3), 3, 6, "zero"),
        ((3, 4), 5, 1, "replicate"),
    ],
)
def test_adaptive_blur_equals_a_loop(size, kernel_size, groups, border, released):
    blur = AdaptiveBlur(6, kernel_size=kernel_size, groups=groups, border=border, released=released).double().eval()
    for name, value in (*blur.norm.named_parameters(), ("running_mean", blur.norm.running_mean)):
        value.data.normal_(mean=float(name == "weight"))
    x = torch.randn(2, 6, *size, dtype=torch.float64)
    assert_close(blur(x), loop(blur, x))


def test_the_released_softmax_spans_all_groups():
    x = torch.ones(1, 16, 6, 6)
    gains = [AdaptiveBlur(16, released=released).eval()(x).mean().item() for released in (False, True)]
    assert gains[0] == pytest.approx(1) and gains[1] == pytest.approx(1 / 8)


def test_groups_follow_from_the_channels():
    assert [AdaptiveBlur(channels).groups for channels in (64, 24, 12, 3)] == [8, 8, 4, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Blur(4, taps=8), "1-7, got 8"),
        (lambda: Blur(4, border="mirror"), "reflect, replicate, zero, got 'mirror'"),
        (lambda: AdaptiveBlur(4, kernel_size=4), "kernel_size=4"),
        (lambda: AdaptiveBlur(6, groups=4), "groups=4"),
        (lambda: AdaptiveBlur(6, border="wrap"), "'wrap'"),
        (lambda: AdaptiveBlur(None), "needs the number of channels"),
    ],
)
def test_wrong_options_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
