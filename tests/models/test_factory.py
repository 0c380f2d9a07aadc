# SPDX-License-Identifier: Apache-2.0
import functools

import pytest
import torch
import yaml
from torch import nn

from dealias.filters import Blur
from dealias.fusion import Bilinear, FreqFusion, Nearest, create_fusion
from dealias.models import create_model, list_models, rebuild
from dealias.models.architectures import ONE_LEVEL

SLIM = {"channels": (32, 64, 128, 256), "stem_width": 16, "stem_type": "deep"}


def small(arch="fpn", **options):
    return create_model(arch, "test_resnet", classes=5, decoder_channels=16, **options)


def count(model):
    return sum(p.numel() for p in model.parameters())


def conv_norm(in_channels, out_channels, kernel):
    return kernel**2 * in_channels * out_channels + 2 * out_channels


def test_names():
    assert {"upernet", "fpn", "unet", "segformer"} <= set(list_models())


def test_published_size_of_upernet():
    """UPerNet with ResNet-50-v1c, 128 channels and auxiliary head on Cityscapes: 31.16 M (arXiv 2403.09065)."""
    with torch.device("meta"):
        model = create_model("upernet", "resnet50c", classes=19, decoder_channels=128, auxiliary=True)
    assert round(count(model) / 1e6, 2) == 31.16


def test_default_widths():
    with torch.device("meta"):
        upernet, fpn = (create_model(arch, "test_resnet") for arch in ("upernet", "fpn"))
    assert upernet.config["decoder_channels"] == upernet.decoder.fuse[0].out_channels == 512
    assert fpn.config["decoder_channels"] == fpn.decoder.smooth[0].out_channels == 256
    assert upernet.auxiliary is None
    assert upernet.config["dropout"] == upernet.decoder.classifier[0].p == 0.1
    assert upernet.classes == upernet.decoder.classifier[1].out_channels == 19


def test_slim_network():
    with torch.device("meta"):
        model = create_model("fpn", "resnet10t", classes=12, decoder_channels=64, encoder_options=SLIM)
    assert model.encoder.channels == (32, 64, 128, 256)
    assert 1.25e6 < count(model) < 1.35e6


def test_options_reach_their_part():
    model = create_model(
        "upernet",
        "test_convnext",
        in_channels=4,
        classes=7,
        fusion="freqfusion",
        fusion_options={"compressed_channels": 8},
        encoder_options={"ls_init_value": None},
        drop_path_rate=0.3,
        decoder_channels=24,
        dropout=0.2,
        auxiliary=True,
        auxiliary_channels=12,
    )
    assert model.encoder.in_channels == 4
    assert model.decoder.laterals[0][0].out_channels == 24
    assert model.decoder.classifier[0].p == model.auxiliary.classifier[0].p == 0.2
    assert model.auxiliary.conv[0].out_channels == 12
    assert model.auxiliary.classifier[1].out_channels == 7
    assert max(getattr(m, "drop_prob", None) or 0 for m in model.encoder.modules()) == pytest.approx(0.3)
    expected = create_fusion("freqfusion", 24, 24, compressed_channels=8)
    assert count(model.decoder.path.fusions[0]) == count(expected)


@pytest.mark.parametrize("arch", [arch for arch in list_models("segmentation") if arch not in ONE_LEVEL])
def test_seed_gives_the_same_other_weights_whatever_the_fusion(arch):
    states = []
    for fusion in ("nearest", "guided_attention") if arch == "direct" else ("nearest", "carafe", "freqfusion"):
        torch.manual_seed(7)
        options = {"auxiliary": True} if arch == "upernet" else {}
        states.append(small(arch, fusion=fusion, **options).state_dict())
    for state in states[1:]:
        assert all(torch.equal(state[key], value) for key, value in states[0].items())


def test_configuration_is_plain_and_complete():
    encoder_options = {"channels": (8, 16, 24, 32), "act_layer": "gelu"}
    config = create_model(
        "upernet", "resnet10t", classes=5, decoder_channels=16, encoder_options=encoder_options
    ).config
    assert yaml.safe_load(yaml.safe_dump(config)) == config
    assert config == {
        "arch": "upernet",
        "encoder_name": "resnet10t",
        "encoder_weights": None,
        "in_channels": 3,
        "classes": 5,
        "fusion": "bilinear",
        "prefilter": None,
        "mixer": None,
        "modulation": None,
        "fusion_options": {},
        "prefilter_options": {},
        "mixer_options": {},
        "modulation_options": {},
        "released": False,
        "encoder_options": {"channels": [8, 16, 24, 32], "act_layer": "gelu"},
        "drop_path_rate": 0.0,
        "output_stride": 32,
        "activation_checkpointing": False,
        "decoder_channels": 16,
        "dropout": 0.1,
        "auxiliary": False,
        "auxiliary_channels": 256,
    }
    other = rebuild(config)
    assert other.encoder.channels == (8, 16, 24, 32)
    assert other.config == config


def test_rebuilding_does_not_look_for_the_encoder_weights(tmp_path):
    torch.save(small().encoder.body.state_dict(), tmp_path / "weights.pth")
    model = small(encoder_weights=str(tmp_path / "weights.pth"))
    (tmp_path / "weights.pth").unlink()
    assert rebuild(model.config).config == model.config


def test_fusion_from_a_factory():
    factory = functools.partial(FreqFusion, compressed_channels=8)
    model = small(fusion=factory)
    assert all(isinstance(m, FreqFusion) for m in model.decoder.neck.path.fusions)
    assert model.config["fusion"].endswith("FreqFusion")
    with pytest.raises(ValueError, match=r"FreqFusion', none of nearest, .*rebuild\(config, fusion=\.\.\.\)"):
        rebuild(model.config)
    other = rebuild(model.config, fusion=factory)
    other.load_state_dict(model.state_dict())
    assert other.config == model.config
    with pytest.raises(ValueError, match="built with the fusion 'bilinear'; it takes no factory"):
        rebuild(small().config, fusion=factory)
    assert small(fusion=Bilinear).config["fusion"].endswith("Bilinear")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"arch": "unt"}, "unknown architecture 'unt'; known: upernet, fpn, unet"),
        ({"arch": "fpn", "encoder_name": "resnt50"}, "unknown timm backbone 'resnt50'"),
        ({"arch": "fpn", "fusion": "bicubic"}, "unknown fusion 'bicubic'; known: nearest, bilinear"),
        ({"arch": "fpn", "width": 3}, "fpn has no option width; it accepts: decoder_channels, dropout, fusion_options"),
        ({"arch": "fpn", "auxiliary": True}, "fpn has no option auxiliary"),
        ({"arch": "fpn", "output_stride": 16}, "fpn needs levels at strides 4, 8, 16, 32, .* got 16; .* fcn, pspnet"),
        ({"arch": "fcn", "output_stride": 4}, "output_stride must be one of 8, 16, 32, got 4"),
        ({"arch": "fcn", "encoder_name": "mscan_t", "output_stride": 16}, "'mscan_t' has no dilated form"),
        ({"arch": "fcn", "fusion": "carafe"}, "fcn has one level and fuses nothing: .*'bilinear', .*got 'carafe'"),
        ({"arch": "pspnet", "fusion": Nearest}, r"pspnet .*got 'dealias.fusion.interpolation.Nearest'"),
        ({"arch": "pspnet", "fusion_options": {"kernel": 3}}, "got 'bilinear' with {'kernel': 3}"),
        ({"arch": "upernet", "classes": 0}, "classes must be at least 1, got 0"),
        ({"arch": "upernet", "in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"arch": "upernet", "decoder_channels": -4}, "decoder_channels must be at least 1, got -4"),
        ({"arch": "upernet", "dropout": 1.5}, "1.5"),
        ({"arch": "fpn", "fusion_options": {"kernel": 3}}, "bilinear.* no option kernel"),
        ({"arch": "fpn", "fusion": Nearest, "fusion_options": {"kernel": 3}}, "fusion_options .* need a fusion's name"),
        ({"arch": "fpn", "encoder_options": {"norm_layer": nn.GroupNorm}}, "config.encoder_options.norm_layer must be"),
        ({"arch": "fpn", "encoder_options": {"depth": 3}}, "does not take .*depth"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        create_model(**{"encoder_name": "test_resnet", **arguments})


@pytest.mark.parametrize("arch", ONE_LEVEL)
def test_size_of_networks_on_one_level(arch):
    """ResNet-50 and 512 channels: 23,508,032 parameters of the encoder, and those of the head counted by hand."""
    with torch.device("meta"):
        model = create_model(arch, "resnet50", classes=19, output_stride=8)
    heads = {
        "fcn": conv_norm(2048, 512, 3) + conv_norm(512, 512, 3),
        "pspnet": 4 * conv_norm(2048, 512, 1) + conv_norm(2048 + 4 * 512, 512, 3),
    }
    assert count(model) == 23_508_032 + heads[arch] + 19 * 513


@pytest.mark.parametrize("arch", ONE_LEVEL)
def test_dilated_networks(arch, tmp_path):
    model = create_model(arch, "resnet18", classes=5, decoder_channels=16, output_stride=8, prefilter="blur").eval()
    assert model.encoder.strides == (4, 8, 8, 8)
    filtered = [name for name, module in model.named_modules() if isinstance(module, Blur)]
    assert filtered == ["encoder.body.layer2.0.prefilter"], "the other stages stride no more"
    images = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        assert model.decoder(model.encoder(images)).shape == (1, 5, 9, 13)
        other = rebuild(model.config).eval()
        other.load_state_dict(model.state_dict())
        assert torch.equal(other(images), model(images))
