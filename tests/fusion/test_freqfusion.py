# SPDX-License-Identifier: Apache-2.0
"""FreqFusion and CARAFE: options, parameter counts, behaviour of their parts."""

import itertools

import pytest
import torch

from dealias.fusion import CARAFE, FreqFusion, create_fusion
from dealias.fusion.freqfusion import hamming_2d
from dealias.fusion.offsets import initial_positions, sample_at_offsets
from dealias.testing import assert_close, check_fusion


def count(module):
    return sum(p.numel() for p in module.parameters())


def maps(hr_channels=16, lr_channels=8, size=(12, 14)):
    return torch.randn(2, hr_channels, *size), torch.randn(2, lr_channels, size[0] // 2, size[1] // 2)


def test_published_parameter_counts():
    assert count(create_fusion("freqfusion", 256, 256, compressed_channels=64)) * 3 == 314_070
    assert count(create_fusion("carafe", 256, 256)) * 3 == 222_444
    assert count(create_fusion("freqfusion", 256, 256)) == 104_690
    assert create_fusion("freqfusion", 64, 64).compress_hr.out_channels == 16
    assert count(FreqFusion(256, 256, feature_resample=False)) == 52_514
    assert count(FreqFusion(128, 128, compressed_channels=64, feature_resample=False)) == 36_130


OPTIONS = {
    "semi_conv": (True, False),
    "comp_feat_upsample": (True, False),
    "use_high_pass": (True, False),
    "hamming_window": (True, False),
    "up_group": (1, 2),
}


@pytest.mark.parametrize("values", list(itertools.product(*OPTIONS.values())))
def test_every_combination_of_options_runs_and_trains(values):
    options = dict(zip(OPTIONS, values, strict=True))
    fusion = FreqFusion(16, 8, compressed_channels=8, **options)
    hr, lr = (x.requires_grad_() for x in maps(size=(11, 14)))
    hr_out, lr_up = fusion(hr, lr)
    assert hr_out.shape == hr.shape and lr_up.shape == (2, 8, 11, 14)
    (hr_out.square().sum() + lr_up.square().sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in fusion.parameters())
    if not options["use_high_pass"]:
        assert torch.equal(hr_out, hr)


def test_without_resampling_and_semi_conv_any_ratio_works():
    fusion = FreqFusion(16, 8, compressed_channels=8, semi_conv=False, feature_resample=False, upsample_mode="bilinear")
    hr_out, lr_up = fusion(torch.randn(1, 16, 13, 21), torch.randn(1, 8, 4, 5))
    assert hr_out.shape[-2:] == lr_up.shape[-2:] == (13, 21)


def test_odd_sizes_are_those_of_the_completed_maps():
    """27 rows from 14 are the first 27 of 28, with the last row of the fine map repeated."""
    fusion = FreqFusion(16, 8, compressed_channels=8).eval()
    hr, lr = torch.randn(1, 16, 27, 26), torch.randn(1, 8, 14, 13)
    expected = fusion(torch.cat([hr, hr[..., -1:, :]], dim=2), lr)
    for actual, completed in zip(fusion(hr, lr), expected, strict=True):
        assert torch.equal(actual, completed[..., :27, :])
    floored = fusion(hr, lr[..., :13, :])
    repeated = fusion(hr, torch.cat([lr[..., :13, :], lr[..., 12:13, :]], dim=2))
    for actual, completed in zip(floored, repeated, strict=True):
        assert torch.equal(actual, completed)


def test_untrained_lowpass_is_the_hamming_window():
    """Encoders start near zero, so every kernel starts near the normalised window."""
    fusion = FreqFusion(8, 8, compressed_channels=8, feature_resample=False)
    kernels, _, _ = fusion.fuse_with_kernels(*maps(8, 8))
    window = hamming_2d(5).flatten()
    assert (kernels - (window / window.sum())[:, None, None]).abs().max() < 1e-2


def test_the_high_pass_adds_what_the_low_pass_removes():
    torch.manual_seed(0)
    fusion = FreqFusion(8, 8, compressed_channels=8, feature_resample=False)
    alone = FreqFusion(8, 8, compressed_channels=8, feature_resample=False, hr_residual=False)
    alone.load_state_dict(fusion.state_dict())
    hr, lr = maps(8, 8)
    assert_close(fusion(hr, lr)[0], hr + alone(hr, lr)[0])


def test_zero_offsets_reproduce_a_feature_of_the_fine_size():
    feature = torch.randn(2, 8, 12, 14)
    offsets = initial_positions(4, 2).expand(2, -1, 6, 7)
    assert_close(sample_at_offsets(feature, offsets, groups=4, scale=2), feature)


def test_offsets_move_in_coarse_pixels():
    ramp = torch.arange(14.0).expand(1, 4, 12, 14)
    offsets = initial_positions(2, 2).repeat(1, 1, 6, 7)
    offsets[:, : 2 * 4] += 1.0  # x of both groups: one coarse pixel is two fine ones
    moved = sample_at_offsets(ramp, offsets, groups=2, scale=2)
    assert_close(moved[..., :12], ramp[..., 2:])


def test_direction_feat_changes_only_what_the_convolutions_see():
    concat, sim = (FreqFusion(8, 8, compressed_channels=16, direction_feat=d) for d in ("sim_concat", "sim"))
    assert concat.sampler.lr_offset.in_channels == concat.sampler.lr_scope.in_channels == 24
    assert (sim.sampler.lr_offset.in_channels, sim.sampler.lr_scope.in_channels) == (8, 16)


def test_carafe_at_other_ratios():
    for scale, lr_size in ((1, (9, 7)), (3, (3, 3)), (4, (3, 2))):
        fusion = CARAFE(4, 6, compressed_channels=8, groups=2, kernel_size=3, scale=scale)
        assert fusion(torch.randn(1, 4, 9, 7), torch.randn(1, 6, *lr_size))[1].shape == (1, 6, 9, 7)


def test_the_public_check_runs_all_promises_and_finds_a_broken_one():
    class Shifted(CARAFE):
        def upsample(self, lr, size):
            return super().upsample(lr, size) + 1

    check_fusion(lambda hr, lr: create_fusion("nearest", hr, lr), 3, 2)
    with pytest.raises(AssertionError, match="largest difference"):
        check_fusion(lambda hr, lr: Shifted(hr, lr, compressed_channels=8), 3, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lowpass_kernel": 4}, "odd"),
        ({"up_group": 3}, "up_group=3"),
        ({"feature_resample_group": 3}, "feature_resample_group=3"),
        ({"upsample_mode": "bicubic"}, "'bicubic'"),
        ({"direction_feat": "both"}, "'both'"),
        ({"compressed_channels": 4}, "4 guide channels"),
        ({"lowpas_kernel": 5}, "no option lowpas_kernel"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        create_fusion("freqfusion", 16, 8, **options)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"known: nearest, bilinear, .*, freqfusion"):
        create_fusion("freqfuse", 16, 8)


def test_autocast_trains_a_step():
    fusion = FreqFusion(16, 8, compressed_channels=8)
    optimizer = torch.optim.SGD(fusion.parameters(), lr=0.1)
    before = [p.detach().clone() for p in fusion.parameters()]
    with torch.autocast("cpu", torch.bfloat16):
        hr_out, lr_up = fusion(*maps())
        loss = hr_out.float().square().mean() + lr_up.float().square().mean()
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    assert all(p.isfinite().all() for p in fusion.parameters())
    assert any(not torch.equal(p, b) for p, b in zip(fusion.parameters(), before, strict=True))


@torch.no_grad()
def test_inductor_equals_eager():
    fusion = FreqFusion(8, 8, compressed_channels=8).eval()
    compiled = torch.compile(fusion, fullgraph=True, dynamic=True)
    for size in ((12, 14), (20, 18)):
        hr, lr = maps(8, 8, size)
        for actual, expected in zip(compiled(hr, lr), fusion(hr, lr), strict=True):
            assert_close(actual, expected)
