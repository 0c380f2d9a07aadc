# SPDX-License-Identifier: Apache-2.0
"""Joint convolutions against one after the other."""

import pytest
import torch
from torch import nn

from dealias.fusion.joint import convolve_jointly
from dealias.testing import assert_close

ALIKE = (nn.Conv2d(5, 3, 3, padding=2, dilation=2), nn.Conv2d(5, 7, 3, padding=2, dilation=2))
UNLIKE = {
    "kernel": (nn.Conv2d(5, 3, 3, padding=1), nn.Conv2d(5, 7, 1)),
    "border": (nn.Conv2d(5, 3, 3, padding=1), nn.Conv2d(5, 7, 3, padding=1, padding_mode="reflect")),
    "both borders": (nn.Conv2d(5, 3, 3, padding=1, padding_mode="reflect"),) * 2,
    "bias": (nn.Conv2d(5, 3, 1), nn.Conv2d(5, 7, 1, bias=False)),
    "groups": (nn.Conv2d(5, 5, 1, groups=5), nn.Conv2d(5, 5, 1, groups=5)),
    "sequence": (nn.Conv2d(5, 3, 1), nn.Sequential(nn.Conv2d(5, 7, 1))),
}


@pytest.mark.parametrize("convolutions", [ALIKE, ALIKE[:1], *UNLIKE.values()], ids=["alike", "one", *UNLIKE])
def test_values_and_gradients_are_those_of_each(convolutions):
    x = torch.randn(2, 5, 6, 7, requires_grad=True)
    inputs = [x, *nn.ModuleList(convolutions).parameters()]
    made, expected = convolve_jointly(x, *convolutions), tuple(conv(x) for conv in convolutions)
    cotangents = [torch.randn_like(each) for each in expected]
    for found, wanted in zip(made, expected, strict=True):
        assert_close(found, wanted)
    for found, wanted in zip(
        torch.autograd.grad(made, inputs, cotangents), torch.autograd.grad(expected, inputs, cotangents), strict=True
    ):
        assert_close(found, wanted)


def test_convolutions_that_are_alike_run_once(monkeypatch):
    calls = []
    monkeypatch.setattr(nn.Conv2d, "forward", lambda conv, x: calls.append(conv))
    convolve_jointly(torch.randn(1, 5, 6, 7), *ALIKE)
    assert not calls
