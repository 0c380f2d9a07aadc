# SPDX-License-Identifier: Apache-2.0
"""Colours and small copies of features, against numpy."""

import numpy as np
import pytest
import torch

from dealias.analysis import compact_directions, direction_colours


@pytest.fixture
def maps():
    """Features with strong and weak directions, on two grids."""
    random, strength = np.random.default_rng(0), np.geomspace(1, 1e-3, 24)[:, None, None]
    mixed, common = np.linalg.qr(random.standard_normal((24, 24)))[0], random.standard_normal((24, 1, 1))
    fields = [strength * random.standard_normal((24, *size)) for size in ((9, 11), (6, 5))]
    return [np.einsum("cd,dhw->chw", mixed, field) + 0.5 * common for field in fields]


def unit(x):
    return x / np.linalg.norm(x, axis=0)


def test_copies_have_nearly_the_same_cosines(maps):
    copies, kept = compact_directions([torch.from_numpy(each) for each in maps])
    assert [tuple(copy.shape) for copy in copies] == [(16, 9, 11), (16, 6, 5)]
    assert all(copy.dtype == torch.int8 for copy in copies)
    vectors = np.concatenate([unit(each).reshape(24, -1) for each in maps], axis=1)
    found = unit(np.concatenate([copy.numpy().astype(float).reshape(16, -1) for copy in copies], axis=1))
    np.testing.assert_allclose(found.T @ found, vectors.T @ vectors, atol=0.03)
    singular = np.linalg.svd(vectors, compute_uv=False) ** 2
    assert kept == pytest.approx(singular[:16].sum() / singular.sum())


def test_few_channels_are_all_kept():
    copies, kept = compact_directions([torch.randn(5, 4, 4, generator=torch.Generator().manual_seed(0))])
    assert copies[0].shape == (5, 4, 4) and kept == pytest.approx(1)


def test_zeros_stay_zeros():
    copies, kept = compact_directions([torch.zeros(3, 2, 2)])
    assert not copies[0].any() and kept == 0
    assert direction_colours([torch.zeros(3, 2, 2)])[0].shape == (2, 2, 3)


def test_colours_are_the_principal_components_of_directions(maps):
    colours = direction_colours([torch.from_numpy(each) for each in maps])
    assert [tuple(colour.shape) for colour in colours] == [(9, 11, 3), (6, 5, 3)]
    vectors = np.concatenate([unit(each).reshape(24, -1) for each in maps], axis=1)
    centred = vectors - vectors.mean(1, keepdims=True)
    components = np.linalg.svd(centred, full_matrices=False)[0][:, :3].T @ centred
    found = np.concatenate([colour.numpy().reshape(-1, 3) for colour in colours]).T.astype(float)
    for component, channel in zip(components, found, strict=True):
        inside = (channel > 0) & (channel < 255)
        assert abs(np.corrcoef(component[inside], channel[inside])[0, 1]) > 0.9999
        assert channel.min() == 0 and channel.max() == 255


def test_equal_features_have_equal_colours_in_all_maps(maps):
    first = torch.from_numpy(maps[0])
    one, other = direction_colours([first, 7 * first.flip(2)])
    assert torch.equal(one, other.flip(1))


@pytest.mark.parametrize("channels", [1, 2])
def test_less_than_three_channels_have_colours_too(channels):
    features = torch.randn(channels, 4, 6, generator=torch.Generator().manual_seed(0))
    assert direction_colours([features])[0].shape == (4, 6, 3)


@pytest.mark.parametrize("function", [direction_colours, compact_directions])
def test_maps_must_have_the_same_channels(function):
    for wrong in ([], [torch.zeros(3, 2, 2), torch.zeros(4, 2, 2)]):
        with pytest.raises(ValueError, match=r"maps must be \[C, h, w\] with one C"):
            function(wrong)
