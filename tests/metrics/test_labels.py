# SPDX-License-Identifier: Apache-2.0
"""Renumbering of ground truth against a look-up per pixel."""

import pytest
import torch

from dealias.metrics import remap_labels


def test_label_map_applies_all_at_once():
    target = torch.tensor([[0, 1, 2], [3, 255, 1]], dtype=torch.uint8)
    label_map = {1: 2, 2: 3, 3: 1, 255: 0}
    expected = torch.tensor([[label_map.get(value, value) for value in row] for row in target.tolist()])
    remapped = remap_labels(target, label_map)
    assert remapped.dtype == torch.uint8
    assert torch.equal(remapped, expected.to(torch.uint8))


@pytest.mark.parametrize("ignore_index", [255, 254, 0, 3])
def test_zero_becomes_ignored_and_the_others_one_less(ignore_index):
    target = torch.arange(256, dtype=torch.uint8)
    expected = [ignore_index if value in (0, ignore_index) else value - 1 for value in range(256)]
    assert remap_labels(target, reduce_zero_label=True, ignore_index=ignore_index).tolist() == expected


def test_label_map_comes_before_the_zero_label():
    remapped = remap_labels(torch.tensor([0, 1, 2, 255]), {1: 0, 2: 255, 255: 4}, reduce_zero_label=True)
    assert remapped.tolist() == [255, 255, 255, 3]


def test_target_stays_as_it_is():
    target = torch.tensor([0, 1])
    remap_labels(target, {1: 7}, reduce_zero_label=True)
    assert remap_labels(target) is not target
    assert target.tolist() == [0, 1]


def test_ids_that_do_not_fit_are_named():
    target = torch.tensor([0, 1], dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"\[-1, 300\] do not fit torch.uint8, expected \[0, 255\]"):
        remap_labels(target, {0: 300, 1: -1})
    with pytest.raises(ValueError, match=r"\[-100\]"):
        remap_labels(target, reduce_zero_label=True, ignore_index=-100)
