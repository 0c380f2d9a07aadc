# SPDX-License-Identifier: Apache-2.0
"""The head that upsamples the coarsest level in one step."""

import functools

import pytest
import torch
import torch.nn.functional as F

from dealias.fusion import Bilinear, FreqFusion, Fusion, GuidedAttention, Nearest, create_fusion
from dealias.heads import DirectHead

CHANNELS = (6, 8, 10, 12)
SIZES = [(24, 40), (12, 20), (6, 10), (3, 5)]


def pyramid(sizes=SIZES):
    return [torch.randn(2, c, *size) for c, size in zip(CHANNELS, sizes, strict=True)]


@torch.no_grad()
def test_wiring():
    head = DirectHead(CHANNELS, 5, Nearest, width=4).eval()
    features = pyramid()
    up = F.interpolate(head.project(features[3]), size=SIZES[0], mode="nearest")
    torch.testing.assert_close(head(features), head.classifier(head.smooth(up)))
    others = [features[0], torch.zeros(1), torch.zeros(1), features[3]]
    assert torch.equal(head(others), head(features))


def test_the_finest_level_guides():
    class Recorder(Fusion):
        def fuse(self, hr, lr):
            self.seen = hr, lr
            return hr, F.interpolate(lr, size=hr.shape[-2:])

    head = DirectHead(CHANNELS, 5, Recorder, width=4)
    features = pyramid()
    head(features)
    guide, coarse = head.fusion.seen
    assert guide is features[0] and coarse.shape == (2, 4, 3, 5)


@pytest.mark.parametrize("sizes", [SIZES, [(23, 37), (12, 19), (6, 10), (3, 5)], [(9, 9), (4, 4), (2, 2), (1, 1)]])
@pytest.mark.parametrize("fusion", [Bilinear, GuidedAttention])
def test_any_ratio(fusion, sizes):
    head = DirectHead(CHANNELS, 5, fusion, width=16)
    features = [x.requires_grad_() for x in pyramid(sizes)]
    scores = head(features)
    assert scores.shape == (2, 5, *sizes[0])
    scores.square().sum().backward()
    assert features[3].grad.any() and all(p.grad is not None for p in head.parameters())
    assert (features[0].grad is not None) == (fusion is GuidedAttention)


@pytest.mark.parametrize("name", ["carafe", "sapa", "dysample"])
def test_fusions_with_a_scale(name):
    head = DirectHead(CHANNELS, 5, functools.partial(create_fusion, name, scale=8), width=16)
    assert head(pyramid()).shape == (2, 5, 24, 40)


def test_another_ratio():
    with pytest.raises(ValueError, match=r"of 4 levels has the ratio 8; FreqFusion has 2"):
        DirectHead(CHANNELS, 5, FreqFusion, width=16)
