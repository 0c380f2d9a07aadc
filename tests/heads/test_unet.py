# SPDX-License-Identifier: Apache-2.0
"""U-Net's decoder: its wiring, its widths, and every fusion in it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dealias.fusion import Fusion, Nearest, create_fusion, list_fusions
from dealias.heads import UNetHead
from dealias.models import create_model

CHANNELS = (6, 8, 10, 12)
SIZES = [(17, 25), (9, 13), (5, 7), (3, 4)]

# channels that every fusion takes, A2U's norm in groups of 32 among them
SLIM = {"channels": (32, 64, 96, 128), "stem_width": 16, "stem_type": "deep"}


class Doubled(Fusion):
    """Nearest, and the fine map twice as large in value: shows whether ``hr'`` is used."""

    def fuse(self, hr, lr):
        return 2 * hr, F.interpolate(lr, size=hr.shape[-2:], mode="nearest")


def pyramid(batch=2):
    return [torch.randn(batch, c, *size) for c, size in zip(CHANNELS, SIZES, strict=True)]


def build(name, width=16):
    torch.manual_seed(3)
    return UNetHead(CHANNELS, 5, lambda hr, lr: create_fusion(name, hr, lr), width=width)


@pytest.mark.parametrize(("fusion", "gain"), [(Nearest, 1), (Doubled, 2)])
def test_wiring(fusion, gain):
    head = UNetHead(CHANNELS, 5, fusion, width=4).eval()
    features = pyramid()
    x = features[3]
    for i in (2, 1, 0):
        x = torch.cat([gain * features[i], F.interpolate(x, size=SIZES[i], mode="nearest")], dim=1)
        x = head.blocks[i](x)
    expected = F.conv2d(x, head.classifier[1].weight, head.classifier[1].bias)
    torch.testing.assert_close(head(features), expected)


def test_every_level_reaches_the_result():
    head = UNetHead(CHANNELS, 5, Nearest, width=8).eval()
    features = [x.requires_grad_() for x in pyramid()]
    head(features).square().sum().backward()
    assert all(x.grad.abs().amax(dim=(0, 2, 3)).min() > 0 for x in features)


def test_widths_double_from_level_to_level():
    """At 64 channels those of segmentation_models.pytorch at the same strides: 256, 128, 64."""
    head = UNetHead(CHANNELS, 5, Nearest)
    assert [block[0][0].out_channels for block in head.blocks] == [64, 128, 256]
    assert [block[0][0].in_channels for block in head.blocks] == [6 + 128, 8 + 256, 10 + 12]
    assert [block[1][0].in_channels for block in head.blocks] == [64, 128, 256]
    assert [(f.hr_channels, f.lr_channels) for f in head.fusions] == [(6, 128), (8, 256), (10, 12)]


def test_seed_gives_the_same_other_weights_whatever_the_fusion():
    plain, fused = build("nearest").state_dict(), build("freqfusion").state_dict()
    assert len(fused) > len(plain)
    assert all(torch.equal(fused[key], value) for key, value in plain.items())


def test_another_normalisation():
    head = UNetHead(CHANNELS, 5, Nearest, width=8, norm=lambda channels: nn.GroupNorm(4, channels))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in head.modules())
    assert head.train()(pyramid(batch=1)).shape == (1, 5, 17, 25)


@pytest.mark.parametrize("fusion", list_fusions())
def test_every_fusion_trains(fusion):
    torch.manual_seed(0)
    options = {"decoder_channels": 32, "encoder_options": SLIM}
    model = create_model("unet", "resnet10t", classes=5, fusion=fusion, **options)
    logits = model(torch.randn(2, 3, 65, 97))
    assert logits.shape == (2, 5, 65, 97) and logits.isfinite().all()
    logits.square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    model.eval()
    with torch.no_grad():
        for size in ((32, 33), (50, 91)):
            assert model(torch.randn(1, 3, *size)).shape == (1, 5, *size)


def test_more_classes_and_channels_of_the_images():
    model = create_model("unet", "test_resnet", in_channels=4, classes=7, decoder_channels=16).eval()
    assert model.config["decoder_channels"] == model.decoder.classifier[1].in_channels == 16
    with torch.no_grad():
        assert model.decoder(model.encoder(torch.randn(1, 4, 33, 47))).shape == (1, 7, 9, 12)
