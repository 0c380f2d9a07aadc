# SPDX-License-Identifier: Apache-2.0
"""Modules before and after a layer, in place."""

import copy

import pytest
import torch
from torch import nn

from dealias.filters.insertion import insert_after, insert_before, prefilter_of, remove_before


class Times(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x):
        return self.factor * x


class Shift(nn.Module):
    """A layer with a second argument, for maps [B, H, W, C]."""

    def forward(self, x, by=0.0):
        return x + by


def test_before_and_after():
    layer = nn.Conv2d(2, 3, 1)
    x = torch.randn(1, 2, 4, 4)
    expected = 5 * nn.functional.conv2d(3 * x, layer.weight, layer.bias)
    keys = list(layer.state_dict())
    insert_before(layer, Times(3.0))
    insert_after(layer, Times(5.0))
    torch.testing.assert_close(layer(x), expected)
    assert sorted(layer.state_dict()) == sorted([*keys, "prefilter.factor", "mixer.factor"])


def test_channels_last_layers_are_filtered_as_nchw():
    layer = Shift()
    blur = nn.AvgPool2d((1, 3), stride=1, padding=(0, 1))
    insert_before(layer, blur, channels_last=True)
    x = torch.randn(2, 4, 5, 3)
    torch.testing.assert_close(layer(x, 1.0), blur(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1) + 1)


def test_copies_use_their_own():
    layer = nn.ReLU()
    insert_before(layer, Times(2.0))
    insert_after(layer, Times(3.0))
    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.prefilter.factor.fill_(7.0)
        other.mixer.factor.fill_(1.0)
    x = torch.ones(1)
    assert layer(x) == 6 and other(x) == 7


def test_removing():
    layer = nn.ReLU()
    assert prefilter_of(layer) is None and not remove_before(layer)
    inserted = Times(2.0)
    insert_before(layer, inserted)
    insert_after(layer, Times(3.0))
    assert prefilter_of(layer) is inserted
    assert remove_before(layer) and prefilter_of(layer) is None
    assert layer(torch.ones(1)) == 3


def test_other_hooks_stay():
    layer, seen = nn.ReLU(), []
    layer.register_forward_pre_hook(lambda module, args: seen.append(args[0].item()))
    insert_before(layer, Times(2.0))
    remove_before(layer)
    layer(torch.ones(1))
    assert seen == [1.0]


@pytest.mark.parametrize("container", [nn.Sequential(nn.ReLU()), nn.ModuleList(), nn.ModuleDict()])
def test_containers_would_run_what_is_put_in(container):
    for insert in (insert_before, insert_after):
        with pytest.raises(ValueError, match=f"a {type(container).__name__} runs all its children"):
            insert(container, Times(2.0))
    assert "prefilter" not in dict(container.named_children())


def test_one_of_each():
    layer = nn.ReLU()
    for insert, name in ((insert_before, "prefilter"), (insert_after, "mixer")):
        insert(layer, Times(2.0))
        with pytest.raises(ValueError, match=f"this ReLU has a {name} already"):
            insert(layer, Times(3.0))
    assert layer(torch.ones(1)) == 4
