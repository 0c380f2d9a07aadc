# SPDX-License-Identifier: Apache-2.0
"""Prefilters by name and from the layer they precede; and the contract's checks find what is broken."""

import pytest
import torch
from torch import nn

from dealias.filters import PREFILTERS, Blur, Identity, Prefilter, create_prefilter, list_prefilters
from dealias.testing import PREFILTER_CHECKS, check_prefilter


def test_names_and_options():
    assert list_prefilters() == ["none", "blur", "adaptive_blur", "flc", "daf"]
    for name, method in PREFILTERS.items():
        prefilter = create_prefilter(name, 16, 4)
        assert type(prefilter) is method and (prefilter.channels, prefilter.stride) == (16, 4)
    assert create_prefilter("blur", 16, taps=5).taps == 5


@pytest.mark.parametrize("name", list_prefilters())
def test_before_takes_channels_and_stride_from_the_layer(name):
    prefilter = PREFILTERS[name].before(nn.Conv2d(24, 48, 3, stride=3))
    assert (prefilter.channels, prefilter.stride) == (24, 3)
    pooled = PREFILTERS[name].before(nn.MaxPool2d(2), channels=24)
    assert (pooled.channels, pooled.stride) == (24, 2)
    if not PREFILTERS[name].needs_channels:
        assert PREFILTERS[name].before(nn.MaxPool2d(2))(torch.zeros(1, 5, 4, 4)).shape == (1, 5, 4, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: create_prefilter("box", 8), "unknown prefilter 'box'; known: none, blur, adaptive_blur, flc, daf"),
        (lambda: create_prefilter("blur", 8, cutoff=0.3), "no option cutoff; it accepts: taps, border"),
        (lambda: create_prefilter("none", 8, taps=3), "it accepts: none"),
        (lambda: create_prefilter("adaptive_blur", None), "needs the number of channels"),
        (lambda: create_prefilter("blur", 8, stride=0), "at least 1, got 8, 0"),
        (lambda: Blur.before(nn.Conv2d(8, 8, 3)), "before a Conv2d: stride 1"),
        (lambda: Blur.before(nn.Conv2d(8, 8, 3, stride=(1, 2))), "strides 1 and 2"),
        (lambda: Blur.before(nn.ReLU()), "before a ReLU"),
    ],
)
def test_wrong_names_options_and_layers(call, message):
    with pytest.raises(ValueError, match=message):
        call()


class Shrinks(Blur):
    def filter(self, x):
        return x[..., 1:, 1:]


class Amplifies(Blur):
    def filter(self, x):
        return super().filter(x) * 1.01


class KeepsItsKernel(Blur):
    def __init__(self, channels, stride=2):
        super().__init__(channels, stride)
        self.register_buffer("kernel", self._buffers.pop("kernel"), persistent=True)
        self._non_persistent_buffers_set.discard("kernel")


class Transforms(Prefilter):
    def filter(self, x):
        return torch.fft.irfft2(torch.fft.rfft2(x.float()), s=x.shape[-2:]).to(x.dtype)


class AcceptsAnything(Blur):
    def forward(self, x):
        return x


class Samples(Prefilter):
    def filter(self, x):
        return x * (torch.arange(x.shape[-1], device=x.device) % 3)


@pytest.mark.parametrize(
    ("method", "check"),
    [
        (Shrinks, "sizes"),
        (Amplifies, "constant"),
        (Identity, "stop_band"),
        (KeepsItsKernel, "state_dict"),
        (Transforms, "export"),
        (AcceptsAnything, "errors"),
        (Samples, "shifts"),
    ],
)
def test_checks_find_what_is_broken(method, check):
    with pytest.raises(AssertionError):
        PREFILTER_CHECKS[check](lambda: method(16, 2))


def test_check_prefilter_runs_them_all():
    check_prefilter(Identity, channels=4, filters=False)
    with pytest.raises(AssertionError, match="power above"):
        check_prefilter(Identity, channels=4)
