# SPDX-License-Identifier: Apache-2.0
"""The variants of FreqFusion: separable encoders, wavelet decomposition, attention, alone and together."""

import math

import pytest
import torch

from dealias.fusion import FreqFusion, create_fusion
from dealias.fusion.attention import SpatialAttention
from dealias.testing import FUSION_CHECKS, assert_close

DB2 = [tap / math.sqrt(32) for tap in (1 + 3**0.5, 3 + 3**0.5, 3 - 3**0.5, 1 - 3**0.5)]

COMBINATIONS = {
    "separable_haar": {"encoder": "separable", "decomposition": "haar"},
    "taps_window": {"decomposition": DB2, "attention": "window"},
    "haar_full": {"decomposition": "haar", "attention": "full"},
    "haar_without_high_pass": {"decomposition": "haar", "use_high_pass": False},
    "separable_by_nearest": {"encoder": "separable", "comp_feat_upsample": False, "attention": "window"},
    "separable_sum": {"encoder": "separable", "semi_conv": False, "up_group": 2, "encoder_dilation": 2},
}

QUICK_CHECKS = ("sizes", "gradients", "precisions", "layouts", "state_dict", "errors")


def count(channels=256, **options):
    return sum(p.numel() for p in FreqFusion(channels, channels, **options).parameters())


def maps(hr_channels=16, lr_channels=8, size=(12, 14)):
    return torch.randn(2, hr_channels, *size), torch.randn(2, lr_channels, size[0] // 2, size[1] // 2)


@pytest.mark.parametrize("name", COMBINATIONS)
def test_options_keep_the_contract(name):
    torch.manual_seed(0)
    for check in QUICK_CHECKS:
        FUSION_CHECKS[check](lambda: FreqFusion(16, 24, compressed_channels=8, **COMBINATIONS[name]))


@pytest.mark.parametrize("check", ["compile", "export"])
def test_all_options_together_are_one_graph(check):
    options = {"encoder": "separable", "decomposition": DB2, "attention": "window"}
    FUSION_CHECKS[check](lambda: FreqFusion(16, 24, compressed_channels=8, **options))


def test_published_parameter_counts():
    alone = {"compressed_channels": 64, "feature_resample": False}
    assert count(128, encoder="separable", **alone) == 20_002
    assert count(128, decomposition="haar", **alone) == 51_691
    assert count(128, decomposition="haar", attention="full", **alone) == 51_691


def test_what_the_wavelet_adds_to_the_smallest_segnext():
    """Reported: 4.52 M to 4.58 M parameters, with guides of a quarter of the channels of 160 + 256 and of 64 + 416."""

    def added(hr, lr):
        with_wavelet, without = (
            create_fusion(name, hr, lr, compressed_channels=(hr + lr) // 4, **options)
            for name, options in (("dwt-ff", {}), ("freqfusion", {"direction_feat": "sim"}))
        )
        return sum(p.numel() for p in with_wavelet.parameters()) - sum(p.numel() for p in without.parameters())

    total = 4_520_794 + added(160, 256) + added(64, 416)
    assert total == 4_575_244


def test_presets_are_options():
    for name, options in (("dsconv-ff", {"encoder": "separable"}), ("dwt-ff", {"decomposition": "haar"})):
        torch.manual_seed(0)
        preset = create_fusion(name, 16, 8, attention="window").eval()
        torch.manual_seed(0)
        fusion = FreqFusion(16, 8, direction_feat="sim", attention="window", **options).eval()
        hr, lr = maps()
        for actual, expected in zip(preset(hr, lr), fusion(hr, lr), strict=True):
            assert torch.equal(actual, expected)


def test_separable_kernels_start_as_the_window_and_learn():
    fusion = FreqFusion(8, 8, compressed_channels=8, encoder="separable", feature_resample=False)
    hr, lr = maps(8, 8)
    kernels, _, lr_up = fusion.fuse_with_kernels(hr, lr)
    window = fusion.lowpass_window.flatten()
    assert (kernels - (window / window.sum())[:, None, None]).abs().max() < 1e-2
    lr_up.square().mean().backward()
    spatial, pointwise = fusion.lowpass_encoder
    assert spatial.weight.std() > 0.1 and pointwise.weight.std() < 0.01
    assert spatial.weight.grad.abs().max() > 1e-8


def test_low_pass_kernels_of_a_decomposition_see_the_low_band_only():
    """A checkerboard has no low band: it changes the detail, and so the high-pass, but no low-pass kernel."""
    torch.manual_seed(0)
    fusion = FreqFusion(8, 8, compressed_channels=8, decomposition="haar", feature_resample=False)
    plain = FreqFusion(8, 8, compressed_channels=8, feature_resample=False)
    for module in (fusion, plain):
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    hr, lr = maps(8, 8)
    sign = 1 - 2 * ((torch.arange(12)[:, None] + torch.arange(14)) % 2)
    for module, same in ((fusion, True), (plain, False)):
        before, hr_before, _ = module.fuse_with_kernels(hr, lr)
        after, hr_after, _ = module.fuse_with_kernels(hr + sign, lr)
        assert torch.allclose(before, after, atol=1e-5) == same
        assert not torch.allclose(hr_before, hr_after - sign, atol=0.1)


def test_attention_ends_both_paths():
    torch.manual_seed(0)
    plain = FreqFusion(8, 8, compressed_channels=8)
    attending = FreqFusion(8, 8, compressed_channels=8, attention="full")
    attending.load_state_dict(plain.state_dict())
    hr, lr = maps(8, 8)
    for actual, before in zip(attending(hr, lr), plain(hr, lr), strict=True):
        assert_close(actual, SpatialAttention()(before))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "dsconv"}, "conv, separable; got 'dsconv'"),
        ({"attention": "windowed"}, "'full' or 'window', got 'windowed'"),
        ({"decomposition": [0.5, 0.5]}, "orthonormal"),
        ({"decomposition": "haar", "semi_conv": False}, "semi_conv=False"),
        ({"decomposition": "haar", "comp_feat_upsample": False}, "comp_feat_upsample=False"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        create_fusion("freqfusion", 16, 8, **options)
