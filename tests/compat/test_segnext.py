# SPDX-License-Identifier: Apache-2.0
"""Published SegNeXt checkpoints: what they are taken for, and what is refused."""

import pytest
import torch

from dealias.compat import load_published, segnext
from dealias.models import create_model, rebuild

SMALL = {"channels": [8, 16, 24, 32], "depths": [1, 2, 1, 1], "mlp_ratios": [2, 2, 2, 2]}


def checkpoint(fusion="freqfusion", **options):
    torch.manual_seed(0)
    options = {"encoder_options": SMALL, "decoder_channels": 32} | options
    network = create_model("segnext", "mscan_t", classes=5, fusion=fusion, **options).eval()
    return network, segnext.to_published(network)


def load(weights, **options):
    return load_published(weights, layout="segnext", **options)


@pytest.mark.parametrize(
    ("fusion", "options"),
    [
        ("bilinear", {}),
        ("freqfusion", {}),
        ("freqfusion", {"fusion_options": {"feature_resample": False, "use_high_pass": False}}),
        ("freqfusion", {"fusion_options": {"lowpass_kernel": 3, "highpass_kernel": 5, "encoder_kernel": 1}}),
        ("freqfusion", {"fusion_options": {"hamming_window": True, "feature_resample_group": 8}}),
        ("freqfusion", {"fusion_options": {"direction_feat": "sim_concat", "feature_resample_norm": False}}),
        ("dsconv-ff", {}),
        ("dsconv-ff", {"fusion_options": {"lowpass_kernel": 3, "encoder_kernel": 5, "feature_resample": False}}),
        ("dwt-ff", {"fusion_options": {"attention": "full"}}),
        ("dwt-ff", {"fusion_options": {"attention": "full", "hamming_window": True}}),
        ("freqfusion", {"in_channels": 1, "decoder_channels": 64, "encoder_options": {"channels": [8, 16, 8, 8]}}),
    ],
)
def test_keys_and_shapes_tell_the_network(fusion, options):
    network, weights = checkpoint(fusion, **options)
    loaded = load({"state_dict": {f"module.{key}": value for key, value in weights.items()}})
    images = torch.randn(1, network.encoder.in_channels, 64, 96)
    with torch.no_grad():
        assert torch.equal(loaded(images), network(images))
    again = rebuild(loaded.config).eval()
    again.load_state_dict(loaded.state_dict())


def test_guides_of_another_width():
    network, weights = checkpoint(fusion_options={"compressed_channels": 24})
    images = torch.randn(1, 3, 64, 64)
    loaded = load(weights)
    with torch.no_grad():
        assert torch.equal(loaded(images), network(images))


def test_options_that_a_checkpoint_does_not_tell():
    options = {"semi_conv": False, "comp_feat_upsample": False}
    network, weights = checkpoint(fusion_options=options, decomposition_options={"seed": 3})
    loaded = load(weights, fusion_options=options, decomposition_options={"seed": 3})
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded(images), network(images))
        assert not torch.allclose(load(weights, fusion_options=options)(images), network(images))
    with pytest.raises(ValueError, match=r"no FreqFusion to give the options \{'semi_conv': False\}"):
        load(checkpoint("bilinear")[1], fusion_options={"semi_conv": False})
    with pytest.raises(ValueError, match="layout 'segnext' has no option bases; it accepts: fusion_options, decom"):
        load(weights, bases=3)


def test_wavelet_variant_ends_with_attention_as_published():
    network, weights = checkpoint("dwt-ff")
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(load(weights, fusion_options={"attention": None})(images), network(images))
        assert not torch.allclose(load(weights)(images), network(images))
    weights["decode_head.freqfusions.1.dwt.h1_row"] = torch.ones(1, 1, 1, 2)
    with pytest.raises(ValueError, match=r"freqfusions\.1\.dwt\.h1_row must be the Haar filter .* got \[1\.0, 1\.0\]"):
        load(weights)


def test_convolutions_that_are_never_used_are_left_out():
    network, weights = checkpoint()
    weights["decode_head.high2low_convs.0.weight"] = torch.zeros(32, 24, 1, 1)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(load(weights)(images), network(images))


def test_residuals_of_the_level_before():
    network, weights = checkpoint()
    residuals = {f"decode_head.low2high_convs.{i}.bias": torch.randn(c) for i, c in enumerate((24, 16))}
    shapes = enumerate(((24, 32, 1, 1), (16, 24, 1, 1)))
    residuals |= {f"decode_head.low2high_convs.{i}.weight": torch.randn(shape) for i, shape in shapes}
    loaded = load(weights | residuals)
    fusions = network.decoder.path.fusions
    fine, middle, grown = (torch.randn(1, c, 2**n, 2**n) for n, c in ((4, 16), (3, 24), (2, 32)))
    levels = [fine, middle, grown]
    with torch.no_grad():
        for i, (level, before) in enumerate(((middle, 32), (fine, 24))):
            hr, lr_up = fusions[i](level, grown)
            weight, bias = (residuals[f"decode_head.low2high_convs.{i}.{part}"] for part in ("weight", "bias"))
            hr = hr + torch.nn.functional.conv2d(lr_up[:, :before], weight, bias)
            grown = torch.cat([hr, lr_up], 1)  # the sampler is on, but nothing is interleaved
        torch.testing.assert_close(loaded.decoder.path(levels), grown)
    assert loaded.config == {}


def test_backbone_alone():
    network, weights = checkpoint()
    backbone = {key.removeprefix("backbone."): v for key, v in weights.items() if key.startswith("backbone.")}
    for published in (backbone | {"head.weight": torch.zeros(3), "head.bias": torch.zeros(3)}, weights):
        found = segnext.encoder_weights({"state_dict": published})
        own = network.encoder.state_dict()
        assert list(found) == list(own) and all(torch.equal(found[key], own[key]) for key in own)
    with pytest.raises(ValueError, match=r"do not fit: unexpected backbone\.extra"):
        segnext.encoder_weights(backbone | {"extra": torch.zeros(1)})


def test_what_does_not_fit_is_told_by_published_names():
    weights = checkpoint()[1]
    wrong = {key: value for key, value in weights.items() if key != "backbone.block2.1.attn.proj_1.bias"}
    wrong["decode_head.squeeze.conv.weight"] = torch.zeros(32, 7, 1, 1)
    wrong["decode_head.extra"] = torch.zeros(1)
    with pytest.raises(ValueError, match="published weights do not fit") as caught:
        load(wrong)
    message = str(caught.value)
    assert "missing backbone.block2.1.attn.proj_1.bias" in message
    assert "unexpected decode_head.extra" in message
    assert "decode_head.squeeze.conv.weight is (32, 7, 1, 1) instead of (32, 72, 1, 1)" in message


def test_other_files_are_refused():
    weights = checkpoint(fusion_options={"hamming_window": True})[1]
    with pytest.raises(ValueError, match=r"no checkpoint of this layout: backbone\.patch_embed1\.proj\.3\.weight is"):
        load({"weight": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"freqfusions\.0\.hamming_lowpass is missing"):
        load({key: value for key, value in weights.items() if "hamming" not in key})
    weights["decode_head.freqfusions.0.hamming_lowpass"] = torch.ones(1, 1, 5, 5)
    with pytest.raises(ValueError, match=r"freqfusions\.0\.hamming_lowpass must be a Hamming window, got \[1\.0"):
        load(weights)
