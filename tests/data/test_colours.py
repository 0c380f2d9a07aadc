# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from dealias.data import SyntheticScenes, colour_labels, default_palette


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_each_id_has_its_colour(dtype):
    labels = torch.tensor([[0, 2, 255], [1, 3, 0]], dtype=dtype)
    palette = [(1, 2, 3), (4, 5, 6), (7, 8, 9)]
    expected = [[(1, 2, 3), (7, 8, 9), (9, 9, 9)], [(4, 5, 6), (9, 9, 9), (1, 2, 3)]]
    for given in (labels, labels.numpy()):
        picture = colour_labels(given, palette, ignore_colour=(9, 9, 9))
        assert picture.dtype == np.uint8 and np.array_equal(picture, expected)


def test_negative_ids_are_ignored():
    assert colour_labels(np.array([[-1, -100]]), [(5, 5, 5)]).sum() == 0


@pytest.mark.parametrize("labels", [np.zeros((2, 2, 3), int), np.zeros((2, 2))])
def test_only_maps_of_ids(labels):
    with pytest.raises(ValueError, match="labels must be integers"):
        colour_labels(labels, [(0, 0, 0)])


def test_palettes_are_distinct():
    for palette in (default_palette(150), SyntheticScenes.palette):
        assert len(set(palette)) == len(palette)
        assert all(0 <= value <= 255 for colour in palette for value in colour)
    colours = np.array([*SyntheticScenes.palette, (0, 0, 0)], float)
    distances = np.linalg.norm(colours[:, None] - colours[None], axis=-1) + 1e9 * np.eye(len(colours))
    assert distances.min() > 60
