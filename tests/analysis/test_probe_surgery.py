# SPDX-License-Identifier: Apache-2.0
"""The probe and networks that were changed: filters put in by :func:`dealias.filters.antialias_`, compiled ones."""

import pytest
import timm
import torch
from torch import nn

from dealias.analysis import AliasingProbe
from dealias.filters import antialias_


def scores(net, size):
    batch = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), AliasingProbe(net) as probe:
        net(batch)
    assert probe.unused == probe.unmeasured == []
    return {layer.name: layer for layer in probe.compute()}


@pytest.mark.parametrize(
    ("name", "size", "filtered"),
    [("resnet18", 64, 7), ("swin_tiny_patch4_window7_224", 224, 3), ("convnext_atto", 64, 3)],
)
def test_nothing_is_left_above_the_limit_behind_de_aliasing_filters(name, size, filtered):
    net = timm.create_model(name, num_classes=0).eval()
    before = scores(net, size)
    antialias_(net, "daf")
    after = scores(net, size)
    assert list(after) == list(before)
    cleaned = [layer for layer, found in after.items() if layer in before and found.score < 1e-9 < before[layer].score]
    assert len(cleaned) == filtered and all(before[layer].score > 0.01 for layer in cleaned)
    assert [found.nyquist for found in after.values()] == [found.nyquist for found in before.values()]
    assert not any(after[layer].loses for layer in cleaned)


def test_a_blur_lowers_the_score():
    net = timm.create_model("resnet18", num_classes=0).eval()
    before = scores(net, 64)["maxpool"].score
    antialias_(net, "blur")
    assert 0 < scores(net, 64)["maxpool"].score < 0.7 * before


def test_compiled_networks_are_refused():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU())
    with pytest.raises(ValueError, match="OptimizedModule is compiled"):
        AliasingProbe(torch.compile(net, backend="eager"))
    net[0].compile(backend="eager")
    with pytest.raises(ValueError, match="0 is compiled and cannot be measured"):
        AliasingProbe(net)
