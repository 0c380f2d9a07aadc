# SPDX-License-Identifier: Apache-2.0
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dealias.fusion import Bilinear, Fusion, Nearest, create_fusion
from dealias.necks import TopDown, TopDownPath

SIZES = [(17, 25), (9, 13), (5, 7), (3, 4)]


def pyramid(channels):
    return [torch.randn(2, c, *size) for c, size in zip(channels, SIZES, strict=True)]


class Halving(Fusion):
    """hr / 2 and nearest lr, to see which of the two outputs goes where."""

    def fuse(self, hr, lr):
        return hr / 2, F.interpolate(lr, size=hr.shape[-2:], mode="nearest")


def test_levels_are_hr_plus_upsampled_coarser_level():
    channels = (3, 5, 6, 7)
    neck = TopDown(channels, 4, Bilinear)
    features = pyramid(channels)
    for conv in neck.laterals:
        nn.init.normal_(conv.bias)
    levels = [
        torch.einsum("oc,bchw->bohw", conv.weight[:, :, 0, 0], x) + conv.bias[:, None, None]
        for conv, x in zip(neck.laterals, features, strict=True)
    ]
    for i in (2, 1, 0):
        levels[i] = levels[i] + F.interpolate(levels[i + 1], size=SIZES[i], mode="bilinear", align_corners=False)
    for found, expected in zip(neck(features), levels, strict=True):
        torch.testing.assert_close(found, expected)


def test_both_outputs_of_the_fusion_are_used():
    path = TopDownPath(4, 2, Halving)
    hr, lr = torch.randn(1, 4, 6, 8), torch.randn(1, 4, 3, 4)
    fine, coarse = path([hr, lr])
    torch.testing.assert_close(fine, hr / 2 + lr.repeat_interleave(2, -1).repeat_interleave(2, -2))
    assert torch.equal(coarse, lr)


def test_every_pair_of_levels_has_its_own_fusion():
    made = []

    def factory(hr_channels, lr_channels):
        made.append((hr_channels, lr_channels))
        fusion = Halving(hr_channels, lr_channels)
        fusion.weight = nn.Parameter(torch.ones(()))
        return fusion

    path = TopDownPath(4, 4, factory)
    assert made == [(4, 4)] * 3
    sizes = {}
    for i, fusion in enumerate(path.fusions):
        fusion.register_forward_hook(lambda m, args, out, i=i: sizes.update({i: tuple(args[0].shape[-2:])}))
    path(pyramid((4, 4, 4, 4)))
    assert sizes == {0: SIZES[0], 1: SIZES[1], 2: SIZES[2]}  # stored fine to coarse like the levels


@pytest.mark.parametrize("fusion", ["nearest", "carafe", "freqfusion"])
def test_gradients_reach_every_level_and_parameter(fusion):
    channels = (3, 5, 6, 7)
    neck = TopDown(channels, 16, partial(create_fusion, fusion))
    features = [x.requires_grad_() for x in pyramid(channels)]
    neck(features)[0].square().sum().backward()
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in features)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in neck.parameters())


def test_published_parameters_of_three_fusions_in_a_pyramid_of_256_channels():
    def count(name, **options):
        with torch.device("meta"):
            neck = TopDown((256, 512, 1024, 2048), 256, partial(create_fusion, name, **options))
        return sum(p.numel() for p in neck.parameters())

    plain = count("nearest")
    assert plain == sum(256 * c + 256 for c in (256, 512, 1024, 2048))
    assert count("freqfusion", compressed_channels=64) - plain == 314_070
    assert count("carafe") - plain == 222_444


def test_wrong_number_of_levels():
    with pytest.raises(ValueError, match="argument"):
        TopDown((3, 5), 4, Nearest)(pyramid((3, 5, 6, 7)))
