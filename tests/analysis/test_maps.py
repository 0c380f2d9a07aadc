# SPDX-License-Identifier: Apache-2.0
import pytest
import timm
import torch
from torch import nn

from dealias.analysis import AliasingProbe, aliasing_maps


@pytest.mark.parametrize("name", ["test_resnet", "swin_tiny_patch4_window7_224"])
def test_maps_have_the_scores_of_the_probe_as_mean(name):
    net = timm.create_model(name, num_classes=0).eval()
    batch = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), AliasingProbe(net) as probe:
        net(batch)
    maps = aliasing_maps(net, batch, probe.layers)
    assert list(maps) == probe.layers
    for layer, scores in probe.image_scores.items():
        assert maps[layer].mean((-2, -1)).tolist() == pytest.approx(scores, abs=1e-5)
    assert maps[probe.layers[-1]].shape == (2, 14, 14)
    assert all(not module._forward_hooks for module in net.modules())


def test_hooks_are_removed_after_an_error_and_of_calls_the_first_counts():
    pool = nn.MaxPool2d(2)
    net = nn.Sequential(pool, pool)
    assert aliasing_maps(net, torch.rand(1, 1, 8, 8), ["0"])["0"].shape == (1, 8, 8)
    with pytest.raises(RuntimeError):
        aliasing_maps(net, torch.rand(2), ["0"])
    assert not pool._forward_hooks
