# SPDX-License-Identifier: Apache-2.0
"""The published variants: arguments, keys, return value, and what the published files do whatever the arguments."""

import inspect

import pytest
import torch

from dealias import compat
from dealias.fusion import FreqFusion
from dealias.testing import assert_close

VARIANTS = {
    compat.FreqFusionDSConv: {"encoder": "separable"},
    compat.FreqFusionDWT: {"decomposition": "haar", "attention": "full"},
}
MAPS = {"hr_feat": torch.randn(1, 16, 13, 18), "lr_feat": torch.randn(1, 8, 7, 9)}


@pytest.mark.parametrize("published", VARIANTS)
def test_equals_the_native_module(published):
    module = published(16, 8, compressed_channels=8, feature_resample=True).eval()
    native = FreqFusion(16, 8, compressed_channels=8, direction_feat="sim", **VARIANTS[published]).eval()
    for parameter, own in zip(parameters(module), parameters(native), strict=True):
        own.data.copy_(parameter)
    kernels, *maps = module(**MAPS)
    assert kernels.shape == (1, 25, 13, 18)
    for actual, expected in zip(maps, native(*MAPS.values()), strict=True):
        assert_close(actual, expected)


def parameters(module):
    parts = ("compress_hr", "compress_lr", "lowpass_encoder", "highpass_encoder", "detail_encoder", "sampler")
    return [p for part in parts if getattr(module, part) is not None for p in getattr(module, part).parameters()]


@pytest.mark.parametrize("published", VARIANTS)
def test_takes_the_arguments_of_freqfusion(published):
    assert inspect.signature(published) == inspect.signature(compat.FreqFusion)
    module = published(16, 8, compressed_channels=16, feature_resample=True, direction_feat="sim_concat")
    assert module.dysampler.offset.in_channels == 24
    with pytest.raises(TypeError, match="lowpass"):
        published(16, 8, lowpass=5)


def test_all_convolutions_of_dsconv_start_alike():
    pointwise = compat.FreqFusionDSConv(16, 8, compressed_channels=64).content_encoder[1].weight
    assert pointwise.abs().max() > 0.2  # Xavier: uniform up to sqrt(6 / 89); the native encoder starts near zero


def test_dwt_ignores_what_the_published_file_ignores():
    torch.manual_seed(0)
    module = compat.FreqFusionDWT(16, 8, compressed_channels=8).eval()
    torch.manual_seed(0)
    other = compat.FreqFusionDWT(16, 8, compressed_channels=8, semi_conv=False, comp_feat_upsample=False).eval()
    for actual, expected in zip(other(**MAPS), module(**MAPS), strict=True):
        assert torch.equal(actual, expected)


def test_dwt_drops_weights_in_training_only():
    module = compat.FreqFusionDWT(16, 8, compressed_channels=8)
    (_, first, _), (_, second, _) = module(**MAPS), module(**MAPS)
    assert not torch.equal(first, second)
    module.eval()
    assert torch.equal(module(**MAPS)[1], module(**MAPS)[1])


def test_the_published_wavelet_buffers_are_used():
    module = compat.FreqFusionDWT(16, 8, compressed_channels=8).eval()
    kernels = module.dwt.kernels()
    module.dwt.h0_col.mul_(2)
    scale = torch.tensor([2, 1, 2, 1])[:, None, None]
    assert_close(module.dwt.kernels(), kernels * scale)
    assert [key for key in module.state_dict() if key.startswith("dwt.")] == [
        f"dwt.h{i}_{axis}" for axis in ("col", "row") for i in (0, 1)
    ]
