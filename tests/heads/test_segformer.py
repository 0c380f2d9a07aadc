# SPDX-License-Identifier: Apache-2.0
"""SegFormer's head: the published form with bilinear resizing, and level by level with upsamplers of ratio 2."""

from functools import partial
from itertools import count

import pytest
import torch
import torch.nn.functional as F

from dealias.fusion import Bilinear, FreqFusion, Fusion, Nearest, create_fusion, list_fusions
from dealias.heads import SegFormerHead
from dealias.models import create_model

CHANNELS = (6, 8, 10, 12)
SIZES = [(17, 25), (9, 13), (5, 7), (3, 4)]


class Scaled(Fusion):
    """Nearest of ratio 2 that multiplies both maps by a factor of its own: shows where it is, and what comes of hr'."""

    factor = 2

    def __init__(self, hr_channels, lr_channels, gain):
        super().__init__(hr_channels, lr_channels)
        self.gain = gain

    def fuse(self, hr, lr):
        return self.gain * hr, 10 * self.gain * F.interpolate(lr, size=hr.shape[-2:], mode="nearest")


def pyramid(sizes=SIZES):
    return [torch.randn(2, c, *size) for c, size in zip(CHANNELS, sizes, strict=True)]


def embedded(head, features):
    return [F.conv2d(x, e.weight, e.bias) for x, e in zip(features, head.embeddings, strict=True)]


def scores(head, maps):
    merged = head.merge(torch.cat(maps, dim=1))
    return F.conv2d(merged, head.classifier[1].weight, head.classifier[1].bias)


def upsamplers(head):
    return [m for m in head.modules() if isinstance(m, Fusion)]


def test_bilinear_is_the_published_head():
    head = SegFormerHead(CHANNELS, 5, Bilinear, width=4).eval()
    features = pyramid()
    levels = embedded(head, features)
    maps = [F.interpolate(x, size=SIZES[0], mode="bilinear", align_corners=False) for x in levels]
    torch.testing.assert_close(head(features), scores(head, maps))


def test_published_size():
    """The head on MiT-B1 with 150 classes: linear maps, 1x1 convolution without bias, norm, classifier."""
    head = SegFormerHead((64, 128, 320, 512), 150, Bilinear)
    linear = sum(256 * c + 256 for c in (64, 128, 320, 512))
    assert sum(p.numel() for p in head.parameters()) == linear + 4 * 256 * 256 + 2 * 256 + 150 * 256 + 150


def test_any_ratio_goes_straight_to_the_finest_level():
    head = SegFormerHead(CHANNELS, 5, Nearest, width=4).eval()
    assert len(upsamplers(head)) == 3
    features = pyramid([(17, 25), (6, 9), (4, 4), (1, 1)])
    maps = [F.interpolate(x, size=(17, 25), mode="nearest") for x in embedded(head, features)]
    torch.testing.assert_close(head(features), scores(head, maps))


def test_ratio_2_goes_from_level_to_level():
    gains = count(1)
    head = SegFormerHead(CHANNELS, 5, lambda hr, lr: Scaled(hr, lr, next(gains)), width=4).eval()
    features = pyramid([(16, 24), (8, 12), (4, 6), (2, 3)])
    one, two, three, four = embedded(head, features)

    def up(x, *gains):
        for gain in gains:
            x = 10 * gain * x.repeat_interleave(2, -1).repeat_interleave(2, -2)
        return x

    # fusion 1 works at the third level, 2 and 3 at the second, 4 to 6 at the finest; the level itself comes first
    maps = [(4 + 5 + 6) / 3 * one, up((2 + 3) / 2 * two, 4), up(1 * three, 2, 5), up(four, 1, 3, 6)]
    torch.testing.assert_close(head(features), scores(head, maps))


def test_indexnet_counts_as_published():
    head = SegFormerHead((64, 128, 320, 512), 150, lambda hr, lr: create_fusion("indexnet", hr, lr))
    assert len(upsamplers(head)) == 6
    assert sum(p.numel() for p in head.steps.parameters()) == 12_601_344


def test_seed_gives_the_same_other_weights_whatever_the_fusion():
    def build(name):
        torch.manual_seed(3)
        return SegFormerHead(CHANNELS, 5, lambda hr, lr: create_fusion(name, hr, lr), width=16).state_dict()

    plain, fused = build("nearest"), build("freqfusion")
    assert len(fused) > len(plain)
    assert all(torch.equal(fused[key], value) for key, value in plain.items())


def test_freqfusion_without_its_fixed_ratio_goes_straight():
    any_ratio = partial(FreqFusion, semi_conv=False, feature_resample=False)
    head = SegFormerHead(CHANNELS, 5, any_ratio, width=16)
    assert len(upsamplers(head)) == 3
    assert head(pyramid()).shape == (2, 5, 17, 25)


@pytest.mark.parametrize("fusion", list_fusions())
def test_every_fusion_trains(fusion):
    torch.manual_seed(0)
    model = create_model("segformer", "test_resnet", classes=5, fusion=fusion, decoder_channels=32)
    logits = model(torch.randn(2, 3, 65, 97))
    assert logits.shape == (2, 5, 65, 97) and logits.isfinite().all()
    logits.square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
