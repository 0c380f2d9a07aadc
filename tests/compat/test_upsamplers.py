# SPDX-License-Identifier: Apache-2.0
"""The published upsamplers: what the recorded numbers do not show."""

import pytest
import torch
from torch import nn

from dealias import compat
from dealias.testing import assert_close


@pytest.mark.parametrize(("side", "groups"), [(2, 1), (6, 2), (10, 1)])
def test_downsampling_sums_an_even_window(side, groups):
    features = torch.randn(2, 4, 6, 8, dtype=torch.float64)
    masks = torch.randn(2, groups * side**2, 3, 4, dtype=torch.float64)
    expected = torch.zeros(2, 4, 3, 4, dtype=torch.float64)
    for channel in range(4):
        first = channel // (4 // groups) * side**2
        for i in range(3):
            for j in range(4):
                for t in range(side**2):
                    y, x = 2 * i - side // 2 + 1 + t // side, 2 * j - side // 2 + 1 + t % side
                    if 0 <= y < 6 and 0 <= x < 8:
                        expected[:, channel, i, j] += masks[:, first + t, i, j] * features[:, channel, y, x]
    assert_close(compat.bidownsample_naive(features, masks, side, groups, 2), expected)


def test_a_value_embedding_changes_the_number_of_channels():
    module = compat.SAPAExp(8, 6, out_dim=10)
    assert module(torch.randn(1, 8, 4, 6), torch.randn(1, 6, 2, 3)).shape == (1, 10, 4, 6)
    assert "v.weight" in module.state_dict()


def test_other_norms_are_taken():
    module = compat.SAPA(8, norm=nn.Identity)
    assert not any(key.startswith("norm") for key in module.state_dict())
    block = compat.HolisticIndexBlock(8, use_nonlinear=True, batch_norm=nn.InstanceNorm2d)
    assert not any("running" in key for key in block.state_dict())


def test_the_separable_decoder_has_two_convolutions():
    decoder = compat.IndexedUpsamlping(16, 6, "dep_sep_conv", 3)
    shapes = [tuple(p.shape) for name, p in decoder.named_parameters() if p.ndim == 4]
    assert shapes == [(16, 1, 3, 3), (6, 16, 1, 1)]
    fine, coarse = torch.randn(2, 8, 6, 4), torch.randn(2, 8, 3, 2)
    assert decoder(coarse, fine, torch.rand(2, 1, 6, 4)).shape == (2, 6, 6, 4)
    assert decoder(fine, fine).shape == (2, 6, 6, 4)


def test_ungated_fade_takes_unequal_channels():
    module = compat.SemiShiftUp(8, 6)
    assert module(torch.randn(1, 8, 4, 6), torch.randn(1, 6, 2, 3)).shape == (1, 6, 4, 6)


@pytest.mark.parametrize(
    "module",
    [
        compat.FADEHighToLow(32),
        compat.SAPAExp(32, q_mode="gate"),
        compat.A2U(32),
        compat.DoubleSigmoidIndexNet(32),
    ],
    ids=lambda module: type(module).__name__,
)
def test_full_graph_compile(module):
    torch.compiler.reset()
    maps = torch.randn(1, 32, 6, 8), torch.randn(1, 32, 3, 4)
    compiled = torch.compile(module.eval(), fullgraph=True, backend="aot_eager")
    assert_close(compiled(*maps), module(*maps))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: compat.DySample(8, style="linear_first"), "'lp' or 'pl'"),
        (lambda: compat.FADE(8, 6), "got 2, 8 and 6"),
        (lambda: compat.FADEHighToLow(8, scale=4), "got 4, 8 and 8"),
        (lambda: compat.FADEHighToLow(8, order="jax"), "'jax'"),
        (lambda: compat.SAPAExp(8, q_mode="gated"), "encoder_only, cat, gate; got 'gated'"),
        (lambda: compat.A2U(32, scale=4), "got 4"),
        (lambda: compat.A2U(32)(torch.zeros(1, 32, 5, 4), torch.zeros(1, 8, 3, 2)), "even"),
        (lambda: compat.InterChannelUpDown(48), "norm_groups=32"),
        (lambda: compat.HolisticIndexBlock(8)(torch.zeros(1, 8, 5, 4)), "even"),
        (lambda: compat.IndexedUpsamlping(8, 8, "conv"), "'conv'"),
        (lambda: compat.bidownsample_naive(torch.zeros(1, 4, 4, 4), torch.zeros(1, 16, 2, 2), 4, 1, 2), "odd number"),
        (
            lambda: compat.bidownsample_naive(torch.zeros(1, 4, 5, 4), torch.zeros(1, 36, 2, 2), 6, 1, 2),
            "twice as large",
        ),
    ],
)
def test_wrong_arguments_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
