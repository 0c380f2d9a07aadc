# SPDX-License-Identifier: Apache-2.0
"""The head of SegNeXt: how levels are concatenated, and what follows."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dealias.fusion import Bilinear, FreqFusion, Fusion, Nearest, create_fusion
from dealias.heads import NMF, Growing, Hamburger, HamHead, Straight, concatenation, group_norm, interleave

CHANNELS = (16, 24, 32)
SIZES = [(9, 13), (5, 7), (3, 4)]


def pyramid(batch=2, sizes=SIZES):
    return [torch.randn(batch, c, *size) for c, size in zip(CHANNELS, sizes, strict=True)]


def freqfusion(hr_channels, lr_channels, **options):
    return create_fusion("freqfusion", hr_channels, lr_channels, compressed_channels=16, **options)


def test_interleave():
    first, second = torch.randn(2, 6, 3, 4), torch.randn(2, 9, 3, 4)
    order = [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2), ("a", 2), ("a", 3), ("b", 3), ("b", 4), ("b", 5)]
    order += [("a", 4), ("a", 5), ("b", 6), ("b", 7), ("b", 8)]
    expected = [{"a": first, "b": second}[name][:, channel] for name, channel in order]
    assert torch.equal(interleave(first, second, 3), torch.stack(expected, 1))
    assert torch.equal(interleave(first, second, 1), torch.cat([first, second], 1))


@pytest.mark.parametrize("method", [Nearest, Bilinear])
def test_interpolation_brings_every_level_straight_to_the_finest_grid(method):
    path, levels = concatenation(CHANNELS, method), pyramid()
    mode = {"mode": "nearest"} if method is Nearest else {"mode": "bilinear", "align_corners": False}
    resized = [F.interpolate(x, size=SIZES[0], **mode) for x in levels[1:]]
    assert isinstance(path, Straight)
    assert torch.equal(path(levels), torch.cat([levels[0], *resized], 1))


@pytest.mark.parametrize("resample", [True, False])
def test_other_fusions_grow_from_coarse_to_fine(resample):
    path = concatenation(CHANNELS, lambda hr, lr: freqfusion(hr, lr, feature_resample=resample)).eval()
    assert isinstance(path, Growing)
    assert [(f.hr_channels, f.lr_channels) for f in path.fusions] == [(24, 32), (16, 56)]
    fine, middle, coarse = pyramid()
    with torch.no_grad():
        grown = interleave(*path.fusions[0](middle, coarse), 4 if resample else 1)
        expected = interleave(*path.fusions[1](fine, grown), 4 if resample else 1)
        assert torch.equal(path([fine, middle, coarse]), expected)


class Marks(Fusion):
    """Passes hr on and gives zeros; a method of somebody else's."""

    def fuse(self, hr, lr):
        return hr, lr.new_zeros(*lr.shape[:2], *hr.shape[2:])


def test_third_party_fusions_are_concatenated_plainly():
    levels = pyramid()
    grown = concatenation(CHANNELS, Marks)(levels)
    assert torch.equal(grown[:, :16], levels[0]) and not grown[:, 16:].any() and grown.shape == (2, 72, *SIZES[0])


def test_groups_must_divide_all_channels():
    with pytest.raises(ValueError, match="4 groups of the sampler do not divide 18 and 32 channels"):
        concatenation((18, 32), freqfusion)


def test_hamburger():
    low_rank = NMF(32, rank=3)
    module = Hamburger(32, low_rank).eval()
    x = torch.randn(2, 32, 5, 4)
    with torch.no_grad():
        middle = low_rank(F.conv2d(x, module.enter.weight, module.enter.bias).clamp(min=0))
        context = F.group_norm(F.conv2d(middle, module.leave[0].weight), 16)
        torch.testing.assert_close(module(x), (x + context).clamp(min=0))


def test_wiring():
    head = HamHead(CHANNELS, 5, Bilinear, width=32).eval()
    features = [torch.randn(2, 7, 17, 25), *pyramid()]  # levels that are finer than the head's are left out
    with torch.no_grad():
        squeezed = F.conv2d(head.path(features[1:]), head.squeeze[0].weight)
        context = head.hamburger(F.group_norm(squeezed, 16).clamp(min=0))
        aligned = F.group_norm(F.conv2d(context, head.align[0].weight), 16).clamp(min=0)
        expected = F.conv2d(aligned, head.classifier[1].weight, head.classifier[1].bias)
        torch.testing.assert_close(head(features), expected)
    assert head(features).shape == (2, 5, *SIZES[0])
    assert head.classifier[0].p == 0.1


@pytest.mark.parametrize(("channels", "groups"), [(256, 32), (64, 32), (32, 16), (24, 4), (2, 1), (7, 1)])
def test_groups_of_the_norm_have_two_channels_or_more(channels, groups):
    assert group_norm(channels).num_groups == groups


def test_seed_gives_the_same_other_weights_whatever_the_fusion():
    def build(fusion):
        torch.manual_seed(3)
        return HamHead(CHANNELS, 5, fusion, width=32).state_dict()

    plain, fused = build(Bilinear), build(freqfusion)
    assert len(fused) > len(plain)
    assert all(torch.equal(fused[key], value) for key, value in plain.items())


def test_other_parts():
    def norm(channels):
        return nn.BatchNorm2d(channels)

    head = HamHead(CHANNELS, 5, Bilinear, width=8, norm=norm, decomposition=nn.Identity())
    assert not any(isinstance(m, (nn.GroupNorm, NMF)) for m in head.modules())
    assert head(pyramid()).shape == (2, 5, *SIZES[0])


@pytest.mark.parametrize("sizes", [SIZES, [(4, 4), (2, 2), (1, 1)], [(5, 1), (3, 1), (2, 1)]])
def test_single_images_train(sizes):
    head = HamHead(CHANNELS, 5, freqfusion, width=32)
    levels = [x.requires_grad_() for x in pyramid(batch=1, sizes=sizes)]
    head(levels).square().sum().backward()
    leaves = {**dict(head.named_parameters()), **{f"level {i}": x for i, x in enumerate(levels)}}
    assert [name for name, x in leaves.items() if x.grad is None or not x.grad.isfinite().all()] == []
    assert all(isinstance(fusion, FreqFusion) for fusion in head.path.fusions)
