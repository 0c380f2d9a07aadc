# SPDX-License-Identifier: Apache-2.0
"""The pyramid of detectors against torchvision's, and with fusions that torchvision's does not have."""

from collections import OrderedDict
from functools import partial

import pytest
import torch
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool, LastLevelP6P7

from dealias.fusion import Bilinear, Fusion, Nearest, create_fusion
from dealias.necks import FeaturePyramid, StridedLevels, SubsampledLevel

CHANNELS = (3, 5, 6, 7)
SIZES = {
    "halved": [(16, 24), (8, 12), (4, 6), (2, 3)],
    "odd": [(17, 25), (9, 13), (5, 7), (3, 4)],
    "unrelated": [(19, 11), (8, 7), (5, 5), (2, 1)],
}
EXTRA = {
    "none": (lambda: None, lambda: None),
    "pool": (SubsampledLevel, LastLevelMaxPool),
    "p6p7-from-map": (partial(StridedLevels, 7, 8), partial(LastLevelP6P7, 7, 8)),
    "p6p7-from-output": (partial(StridedLevels, 8, 8), partial(LastLevelP6P7, 8, 8)),
}


def features(sizes, channels=CHANNELS):
    maps = [torch.randn(2, c, *size) for c, size in zip(channels, sizes, strict=True)]
    return OrderedDict((f"c{i}", x) for i, x in enumerate(maps))


@pytest.mark.parametrize("norm", [None, nn.BatchNorm2d])
@pytest.mark.parametrize("extra", EXTRA)
@pytest.mark.parametrize("sizes", SIZES)
def test_torchvisions_pyramid_and_keys(sizes, extra, norm):
    ours, theirs = (make() for make in EXTRA[extra])
    neck = FeaturePyramid(CHANNELS, 8, Nearest, ours, norm).eval()
    published = FeaturePyramidNetwork(list(CHANNELS), 8, theirs, norm).eval()
    nn.init.normal_(published.inner_blocks[0][0].weight)
    assert neck.state_dict().keys() == published.state_dict().keys()
    neck.load_state_dict(published.state_dict())
    maps = features(SIZES[sizes])
    found, expected = neck(maps), published(maps.copy())
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_starts_as_torchvisions_does():
    torch.manual_seed(3)
    neck = FeaturePyramid((64, 128), 32, partial(create_fusion, "carafe"), StridedLevels(32, 32))
    published = FeaturePyramidNetwork([64, 128], 32, LastLevelP6P7(32, 32))
    for key, expected in published.state_dict().items():
        found = neck.state_dict()[key]
        torch.testing.assert_close(found.std(), expected.std(), rtol=0.1, atol=0)
        torch.testing.assert_close(found.abs().max(), expected.abs().max(), rtol=0.02, atol=0)


def test_levels_are_the_fusions_sums():
    class Halving(Fusion):
        def fuse(self, hr, lr):
            return hr / 2, 3 * lr.repeat_interleave(2, -1).repeat_interleave(2, -2)

    neck = FeaturePyramid((3, 5), 4, Halving)
    fine, coarse = torch.randn(1, 3, 6, 8), torch.randn(1, 5, 3, 4)
    inner = [block(x) for block, x in zip(neck.inner_blocks, (fine, coarse), strict=True)]
    summed = inner[0] / 2 + 3 * inner[1].repeat_interleave(2, -1).repeat_interleave(2, -2)
    found = neck({"fine": fine, "coarse": coarse})
    torch.testing.assert_close(found["fine"], neck.layer_blocks[0](summed))
    torch.testing.assert_close(found["coarse"], neck.layer_blocks[1](inner[1]))


@pytest.mark.parametrize("fusion", ["carafe", "freqfusion", "dysample+"])
def test_gradients_reach_every_level_and_parameter(fusion):
    neck = FeaturePyramid(CHANNELS, 16, partial(create_fusion, fusion), SubsampledLevel())
    maps = features(SIZES["odd"])
    outputs = neck(OrderedDict((name, x.requires_grad_()) for name, x in maps.items()))
    sum(x.square().sum() for x in outputs.values()).backward()
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in maps.values())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in neck.parameters())


def test_seed_gives_the_same_convolutions_whatever_the_fusion():
    states = []
    for fusion in ("nearest", "freqfusion"):
        torch.manual_seed(7)
        states.append(FeaturePyramid(CHANNELS, 16, partial(create_fusion, fusion)).state_dict())
    assert all(torch.equal(states[1][key], value) for key, value in states[0].items())
    assert len(states[1]) > len(states[0])


def test_published_parameters_of_three_fusions():
    def count(fusion):
        with torch.device("meta"):
            neck = FeaturePyramid((256, 512, 1024, 2048), 256, partial(create_fusion, fusion))
        return sum(p.numel() for p in neck.parameters())

    assert count("nearest") == 3_344_384
    assert count("freqfusion") - count("nearest") == 314_070


def test_plugs_into_a_detector_of_torchvision():
    class Backbone(nn.Module):
        out_channels = 8

        def __init__(self):
            super().__init__()
            self.convs = nn.ModuleList(nn.Conv2d(3, c, 1, 2 ** (i + 2)) for i, c in enumerate(CHANNELS))
            self.neck = FeaturePyramid(CHANNELS, 8, partial(create_fusion, "freqfusion"), SubsampledLevel())

        def forward(self, x):
            return self.neck({str(i): conv(x) for i, conv in enumerate(self.convs)})

    detector = FasterRCNN(Backbone(), num_classes=3, min_size=64, max_size=96)
    target = {"boxes": torch.tensor([[4.0, 8.0, 40.0, 50.0]]), "labels": torch.tensor([2])}
    losses = detector([torch.rand(3, 70, 91)], [target])
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in detector.backbone.parameters())
    assert set(detector.eval()([torch.rand(3, 70, 91)])[0]) == {"boxes", "labels", "scores"}


def test_wrong_number_of_maps():
    with pytest.raises(ValueError, match="needs 2 maps, got 1: c0"):
        FeaturePyramid((3, 5), 4, Bilinear)({"c0": torch.zeros(1, 3, 4, 4)})
