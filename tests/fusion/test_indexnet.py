# SPDX-License-Identifier: Apache-2.0
"""IndexNet against a loop over windows, and which pixel of a window a branch is for."""

import pytest
import torch

from dealias.fusion import IndexNet
from dealias.testing import assert_close


@torch.no_grad()
def test_holistic_index_is_one_value_per_pixel_from_its_window():
    fusion = IndexNet(3, 2, nonlinear=False, context=False).double()
    hr, lr = torch.randn(1, 3, 4, 6, dtype=torch.float64), torch.randn(1, 2, 2, 3, dtype=torch.float64)
    weight = fusion.branches[0][0].weight
    expected = torch.zeros(1, 2, 4, 6, dtype=torch.float64)
    for y in range(4):
        for x in range(6):
            window = hr[0, :, y // 2 * 2 : y // 2 * 2 + 2, x // 2 * 2 : x // 2 * 2 + 2]
            index = torch.sigmoid((weight[2 * (y % 2) + x % 2] * window).sum())
            expected[0, :, y, x] = index * lr[0, :, y // 2, x // 2]
    assert_close(fusion(hr, lr)[1], expected)


@torch.no_grad()
@pytest.mark.parametrize("index", ["one_to_one", "many_to_one"])
def test_branches_are_the_positions_of_a_window(index):
    """Branch n picks pixel n of its own channel: the index is then the sigmoid of the fine map itself."""
    fusion = IndexNet(3, 3, index=index, nonlinear=False, context=False)
    for position, branch in enumerate(fusion.branches):
        branch[0].weight.zero_()
        for channel in range(3):
            source = 0 if index == "one_to_one" else channel
            branch[0].weight[channel, source, position // 2, position % 2] = 1.0
    hr = torch.randn(2, 3, 4, 6)
    assert_close(fusion(hr, torch.ones(2, 3, 2, 3))[1], torch.sigmoid(hr))


@torch.no_grad()
def test_context_sees_one_pixel_beyond_the_window():
    fusion = IndexNet(1, 1, nonlinear=False)
    hr = torch.zeros(1, 1, 8, 8)
    hr[..., 4, 4] = 1.0
    index = fusion(hr, torch.ones(1, 1, 4, 4))[1][0, 0]
    seen = (index != 0.5).nonzero()
    assert seen.min(0).values.tolist() == [2, 2] and seen.max(0).values.tolist() == [5, 5]
