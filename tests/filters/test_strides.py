# SPDX-License-Identifier: Apache-2.0
"""What is read from a layer about its grid."""

import pytest
import torch
from timm.models import swin_transformer, swin_transformer_v2, swin_transformer_v2_cr
from torch import nn
from torchvision.models.swin_transformer import PatchMerging, PatchMergingV2

from dealias.filters.strides import SamplingLayer, describe


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Conv2d(6, 9, 3, stride=2), SamplingLayer("convolution", (3, 3), (2, 2), 6, 9)),
        (nn.Conv2d(6, 6, (3, 1), stride=4, groups=6), SamplingLayer("convolution", (3, 1), (4, 4), 6, 6)),
        (nn.Conv1d(6, 9, 5), SamplingLayer("convolution", (5,), (1,), 6, 9)),
        (nn.ConvTranspose2d(6, 9, 2, stride=2), SamplingLayer("transposed convolution", (2, 2), (2, 2), 6, 9)),
        (nn.MaxPool2d(3, stride=2), SamplingLayer("max pool", (3, 3), (2, 2))),
        (nn.MaxPool2d(2), SamplingLayer("max pool", (2, 2), (2, 2))),
        (nn.AvgPool2d((2, 3)), SamplingLayer("average pool", (2, 3), (2, 3))),
        (nn.LPPool2d(2, kernel_size=3), SamplingLayer("average pool", (3, 3), (3, 3))),
        (nn.AdaptiveAvgPool2d(1), SamplingLayer("pool of given size")),
    ],
)
def test_layers_of_torch(layer, expected):
    assert describe(layer) == expected


def test_subclasses_are_known_by_their_base():
    class Same(nn.Conv2d):
        pass

    assert describe(Same(6, 9, 3, stride=2)).in_channels == 6


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.BatchNorm2d(3), nn.Linear(3, 4), nn.Sequential(nn.Conv2d(1, 1, 1))])
def test_others_have_no_grid(layer):
    assert describe(layer) is None


@pytest.mark.parametrize(
    "layer",
    [
        swin_transformer.PatchMerging(8),
        swin_transformer_v2.PatchMerging(8),
        swin_transformer_v2_cr.PatchMerging(8),
        PatchMerging(8),
        PatchMergingV2(8),
    ],
    ids=lambda layer: f"{type(layer).__module__}.{type(layer).__name__}",
)
def test_patch_merging_halves_maps_with_channels_last(layer):
    assert describe(layer) == SamplingLayer("patch merging", (2, 2), (2, 2), 8, 16, channels_last=True)
    assert layer(torch.zeros(1, 6, 10, 8)).shape == (1, 3, 5, 16)


@pytest.mark.parametrize(
    ("layer", "obstacle"),
    [
        (nn.Conv2d(3, 3, 3, stride=2), None),
        (nn.Conv2d(3, 3, 1, stride=2), None),
        (nn.MaxPool2d(2), None),
        (nn.Conv2d(3, 3, 3), "stride 1"),
        (nn.ConvTranspose2d(3, 3, 2, stride=2), "transposed"),
        (nn.AdaptiveMaxPool2d(7), "size of the input"),
        (nn.Conv1d(3, 3, 3, stride=2), "one or three axes"),
        (nn.MaxPool3d(2), "one or three axes"),
        (nn.Conv2d(3, 3, 3, stride=(2, 1)), "strides 2 and 1"),
    ],
)
def test_obstacles(layer, obstacle):
    found = describe(layer).obstacle
    assert found is None if obstacle is None else obstacle in found


def test_text():
    assert str(describe(nn.AvgPool2d(2))) == "average pool 2x2 stride 2x2"
    assert str(describe(nn.AdaptiveAvgPool2d(1))) == "pool of given size"
