# SPDX-License-Identifier: Apache-2.0
"""Classifiers: timm's own without anything put in, modules where they belong, and averages over warped grids."""

import itertools

import pytest
import timm
import torch
from torch import nn

from dealias.backbones import recording
from dealias.filters import DeAliasingFilter, Prefilter
from dealias.mixing import FreqMix
from dealias.models import create_classifier, rebuild_classifier
from dealias.models.area_pooling import area_weights
from dealias.modulation import ARS
from dealias.ops.warp import Warp, saliency_map

SWIN = {"embed_dim": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 4, 8), "img_size": 64, "window_size": 4}

# name: (options, channels of the levels before the three stages)
NETWORKS = {
    "test_resnet": ({}, (32, 48, 192)),
    "test_convnext": ({}, (24, 32, 48)),
    "test_efficientnet": ({}, (24, 32, 48)),
    "test_mambaout": ({}, (16, 32, 48)),
    "regnetx_002": ({}, (24, 56, 152)),
    "swin_tiny_patch4_window7_224": (SWIN, (24, 48, 96)),
}


def build(name, **options):
    torch.manual_seed(0)
    return create_classifier(name, 5, encoder_options=NETWORKS[name][0], **options).eval()


@pytest.fixture
def images():
    return torch.randn(2, 3, 64, 64)


@pytest.mark.parametrize("name", NETWORKS)
def test_without_anything_it_is_timms(name, images):
    model, own = build(name), timm.create_model(name, num_classes=5, **NETWORKS[name][0]).eval()
    own.load_state_dict(model.body.state_dict())
    with torch.no_grad():
        assert torch.equal(model(images), own(images))


@pytest.mark.parametrize("name", NETWORKS)
def test_filters_are_at_the_inputs_of_three_stages(name, images):
    plain, filtered = build(name), build(name, prefilter="daf")
    filters = [module for module in filtered.modules() if isinstance(module, DeAliasingFilter)]
    assert tuple(module.channels for module in filters) == NETWORKS[name][1]
    assert filtered.state_dict().keys() == plain.state_dict().keys()
    for (key, found), expected in zip(filtered.state_dict().items(), plain.state_dict().values(), strict=True):
        assert torch.equal(found, expected), key
    sizes = []
    for module in filters:
        module.register_forward_hook(lambda module, args, output: sizes.append(tuple(output.shape[2:])))
    with torch.no_grad():
        assert not torch.allclose(filtered(images), plain(images), rtol=1e-3)
    assert sizes == [(16, 16), (8, 8), (4, 4)]


def test_mixers_are_in_every_block_of_these_stages(images):
    model = build("test_resnet", mixer="freqmix")
    mixers = [name for name, module in model.named_modules() if isinstance(module, FreqMix)]
    assert mixers == [f"body.layer{i}.0.conv2.mixer" for i in (2, 3, 4)]
    assert model(images).shape == (2, 5)


@pytest.mark.parametrize("name", NETWORKS)
def test_new_modulations_change_nothing_and_learn(name, images):
    plain, modulated = build(name), build(name, modulation="ars")
    with torch.no_grad():
        expected = plain(images)
        torch.testing.assert_close(modulated(images), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    modules = [module for module in modulated.modules() if isinstance(module, ARS)]
    assert len(modules) == 3
    modulated(images)[:, 0].sum().backward()
    gradients = [sum(p.grad.abs().sum() for p in module.parameters() if p.grad is not None) for module in modules]
    assert min(gradients) > 0


@pytest.mark.parametrize("name", ["test_resnet", "test_mambaout"])
def test_the_head_sees_weighted_features(name, images):
    model = build(name, modulation="ars", modulation_options={"sigma": 2.0})
    for module in model.modules():
        if isinstance(module, ARS):
            for parameter in module.attention.parameters():
                parameter.data += 0.5 * torch.randn_like(parameter)
    with torch.no_grad(), recording() as tape:
        features = model.body.forward_features(images)
        found, unweighted = model(images), model.body.forward_head(features)
    nhwc = name == "test_mambaout"
    weights = area_weights([resampling.warp for resampling in tape[:3]], (2, 2))
    assert weights.std() > 0.01
    expected = model.body.forward_head(features * (weights.permute(0, 2, 3, 1) if nhwc else weights))
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, unweighted, rtol=1e-4, atol=1e-6)


def saliency(seed, size=(24, 32)):
    generator = torch.Generator().manual_seed(seed)
    rough = torch.rand(2, 1, 4, 4, generator=generator) ** 3 + 0.05
    return nn.functional.interpolate(rough, size=size, mode="bilinear", align_corners=False)


def test_weights_make_the_mean_one_over_the_image():
    """Of smooth pictures sampled on warped grids: one warp, and two with a coarser grid in between."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 24), torch.linspace(0, 1, 32), indexing="ij")
    picture = torch.stack([x, y, x * y, torch.sin(5 * x + 3 * y)])[None].expand(2, -1, -1, -1)
    truth = picture.mean((2, 3))
    one = Warp(saliency_map(saliency(0), sigma=4.0), (24, 32))
    coarse = nn.functional.avg_pool2d(one.apply(picture), 2)
    two = Warp(saliency_map(saliency(1, (12, 16)), sigma=3.0), (12, 16))
    for seen, warps in ((one.apply(picture), [one]), (coarse, [one]), (two.apply(coarse), [one, two])):
        weights = area_weights(warps, tuple(seen.shape[2:]))
        assert weights.shape == (2, 1, *seen.shape[2:]) and weights.min() >= 0
        torch.testing.assert_close(weights.mean((1, 2, 3)), torch.ones(2))
        plain, weighted = (seen.mean((2, 3)) - truth).abs(), ((seen * weights).mean((2, 3)) - truth).abs()
        assert plain.max() > 0.04 and weighted.max() < 0.2 * plain.max()


def test_without_a_warp_all_pixels_weigh_the_same():
    warp = Warp(saliency_map(torch.ones(1, 1, 9, 13), sigma=2.0), (9, 13))
    torch.testing.assert_close(area_weights([warp], (5, 7)), torch.ones(1, 1, 5, 7), rtol=0, atol=1e-4)


def test_every_parameter_is_in_one_part():
    model = build("test_resnet", prefilter="adaptive_blur", mixer="freqmix", modulation="ars")
    parts = model.parameter_parts()
    assert set(parts) == {"encoder", "fusion", "prefilter", "mixer", "modulation", "classifier"}
    assert parts.pop("fusion") == []
    listed = list(itertools.chain(*parts.values()))
    assert len(listed) == len(set(listed)) and set(listed) == set(model.parameters()) and all(parts.values())
    assert parts["classifier"] == list(model.body.fc.parameters())
    assert {type(m).__name__ for m in model.modules() if isinstance(m, Prefilter)} == {"AdaptiveBlur"}


def test_a_stored_configuration_rebuilds_the_network(images):
    options = {"prefilter_options": {"cutoff": 0.3}, "modulation": "ars", "modulation_options": {"sigma": 3.0}}
    model = build("test_resnet", prefilter="daf", **options)
    twin = rebuild_classifier(model.config).eval()
    twin.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(twin(images), model(images)) and twin.config == model.config


def test_local_weights_are_timms(tmp_path, images):
    own = timm.create_model("test_resnet", num_classes=5).eval()
    torch.save(own.state_dict(), tmp_path / "own.pth")
    model = create_classifier("test_resnet", 5, str(tmp_path / "own.pth"), prefilter="none").eval()
    with torch.no_grad():
        assert torch.equal(model(images), own(images))
    with pytest.raises(ValueError, match=r"own\.pth does not fit .*fc\.weight is \(5, 96\) instead of \(6, 96\)"):
        create_classifier("test_resnet", 6, str(tmp_path / "own.pth"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet99", {}, "unknown timm backbone 'resnet99'"),
        ("test_resnet", {"classes": 0}, "classes must be at least 1, got 0"),
        ("test_resnet", {"prefilter": "dwt"}, "unknown prefilter 'dwt'"),
        ("test_resnet", {"modulation": "msau"}, "unknown modulation 'msau'"),
        ("test_resnet", {"modulation_options": {"sigma": 2}}, "need a modulation"),
        ("test_resnet", {"encoder_options": {"depths": 3}}, "does not take"),
        ("test_vit", {"prefilter": "daf"}, "strides 4, 8, 16 and 32"),
        ("test_resnet", {"modulation": "ars", "encoder_options": {"global_pool": "max"}}, "pools by 'avg', .* 'max'"),
    ],
)
def test_what_cannot_be_built_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        create_classifier(name, **options)


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 4, 64, 64), (1, 3, 31, 64)])
def test_wrong_images_are_refused(shape):
    with pytest.raises(ValueError, match=r"images must be \[B, 3, H, W\] with H and W at least 32, got shape"):
        build("test_resnet")(torch.zeros(shape))
