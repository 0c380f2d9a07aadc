# SPDX-License-Identifier: Apache-2.0
"""DySample: where it starts, and how far it moves."""

import pytest
import torch
from torch.nn.functional import interpolate

from dealias.fusion import DySample, DySampleSPlus
from dealias.testing import assert_close


@torch.no_grad()
@pytest.mark.parametrize("style", ["linear_first", "shuffle_first"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_without_offsets_it_is_bilinear_interpolation(scale, style):
    fusion = DySample(1, 144, scale, style, dynamic_scope=True)
    fusion.offset.weight.zero_()
    lr = torch.randn(2, 144, 5, 4)
    expected = interpolate(lr, scale_factor=scale, mode="bilinear", align_corners=False)
    assert_close(fusion(torch.zeros(2, 1, 5 * scale, 4 * scale), lr)[1], expected)


@torch.no_grad()
@pytest.mark.parametrize("style", ["linear_first", "shuffle_first"])
@pytest.mark.parametrize(("scope", "reach"), [(None, 0.25), (-100.0, 0.0), (0.0, 0.25), (100.0, 0.5)])
def test_one_group_moves_by_the_scope(style, scope, reach):
    """A bias of 1 on x of the second group moves its samples ``reach`` coarse pixels right, no others."""
    fusion = DySample(1, 8, style=style, groups=2, dynamic_scope=scope is not None)
    fusion.offset.weight.zero_()
    fusion.offset.bias.reshape(2, 2, -1)[0, 1] = 1.0
    lr = torch.arange(6.0).expand(1, 8, 3, 6).clone()
    hr = torch.zeros(1, 1, 6, 12)
    if scope is not None:
        lr[:, :4] = 1.0
        fusion.scope.weight.zero_()
        fusion.scope.weight[:, 0] = scope
    still = interpolate(lr, scale_factor=2, mode="bilinear", align_corners=False)
    moved = fusion(hr, lr)[1]
    inner = slice(2, -2)
    assert_close(moved[:, :4], still[:, :4])
    assert_close(moved[:, 4:, :, inner], still[:, 4:, :, inner] + reach)


def test_small_preset_is_the_small_configuration():
    small, same = DySampleSPlus(8, 32), DySample(8, 32, style="shuffle_first", groups=8, dynamic_scope=True)
    same.load_state_dict(small.state_dict())
    hr, lr = torch.randn(1, 8, 6, 4), torch.randn(1, 32, 3, 2)
    assert torch.equal(small(hr, lr)[1], same(hr, lr)[1])
