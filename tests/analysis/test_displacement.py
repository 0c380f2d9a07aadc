# SPDX-License-Identifier: Apache-2.0
"""Distances to other classes against brute force, and boundaries that were moved by known numbers of pixels."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from dealias.analysis import feature_similarity
from dealias.analysis.label_regions import nearest_other

REACH = 8


def brute_force(labels, reach):
    """Distance to the nearest pixel of another label, and the labels found at that distance."""
    height, width = labels.shape
    y, x = np.mgrid[:height, :width]
    distances, found = np.full(labels.shape, np.inf), {}
    for place in np.ndindex(labels.shape):
        apart = np.where(labels != labels[place], (y - place[0]) ** 2 + (x - place[1]) ** 2, np.inf)
        if apart.min() <= reach**2:
            distances[place], found[place] = np.sqrt(apart.min()), set(labels[apart == apart.min()].tolist())
    return distances, found


@pytest.mark.parametrize(
    ("seed", "size", "classes", "reach"), [(0, (20, 27), 4, 5), (1, (9, 30), 3, 8), (2, (1, 12), 2, 3)]
)
def test_distances_equal_brute_force(blobs, seed, size, classes, reach):
    labels = blobs(seed, size, classes)
    labels[0, ::7] = 9
    distance, other = nearest_other(torch.from_numpy(labels), reach)
    expected, known = brute_force(labels, reach)
    np.testing.assert_allclose(distance.numpy(), expected, rtol=1e-6)
    assert all(other[place].item() in allowed for place, allowed in known.items())


def test_profile_equals_brute_force(blobs):
    """Of two classes, so that the nearest other class is known."""
    labels, features = blobs(3, (34, 40), 2), np.random.default_rng(0).standard_normal((4, 34, 40))
    found = feature_similarity(torch.from_numpy(features)[None], torch.from_numpy(labels)[None])
    distance, _ = brute_force(labels, REACH)
    edge = distance == 1
    band = np.zeros_like(edge)
    for y, x in np.argwhere(edge):
        band[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3] = True
    centres = np.stack([features[:, ~band & (labels == label)].mean(1) for label in (0, 1)])
    cosines = np.einsum("kc,chw->khw", centres / np.linalg.norm(centres, axis=1)[:, None], features)
    closest = cosines.argmax(0)
    for of in found.classes:
        own = labels == of.label
        shares = [(closest == of.label)[own & (np.ceil(distance) == depth)] for depth in range(REACH, 0, -1)]
        shares += [(closest == of.label)[~own & (np.ceil(distance) == depth)] for depth in range(1, REACH + 1)]
        expected = [share.mean() if len(share) else np.nan for share in shares]
        np.testing.assert_allclose(of.profile, expected, atol=1e-12)
        lost = sum(1 - share for share in expected[:REACH] if not np.isnan(share))
        taken = sum(share for share in expected[REACH:] if not np.isnan(share))
        assert (of.displacement, of.shift) == pytest.approx((lost + taken, taken - lost))


def columns(edges, height=40, width=60):
    """Features of two classes whose boundary is, in each half of the rows, at one of the columns."""
    labels = torch.stack([torch.arange(width) >= edges[row * len(edges) // height] for row in range(height)]).long()
    return functional.one_hot(labels, 2).movedim(-1, 0)[None].float()


LABELS = (torch.arange(60) >= 30).long().expand(1, 40, 60)


@pytest.mark.parametrize("moved", [-5, -2, 0, 1, 4])
def test_a_boundary_that_was_moved(moved):
    found = feature_similarity(columns([30 + moved]), LABELS, band=13)
    left, right = found.classes
    assert (left.displacement, left.shift) == pytest.approx((abs(moved), moved))
    assert (right.displacement, right.shift) == pytest.approx((abs(moved), -moved))
    assert found.displacement == pytest.approx(abs(moved))
    ideal = [float(place < REACH + moved) for place in range(2 * REACH)]
    assert list(left.profile) == ideal


def test_a_boundary_that_wavers_has_moved_without_shift():
    found = feature_similarity(columns([27, 33]), LABELS, band=13)
    for of in found.classes:
        assert (of.displacement, of.shift) == pytest.approx((3, 0))


def test_beyond_the_reach_nothing_is_seen():
    found = feature_similarity(columns([33]), LABELS, band=13, reach=2)
    assert [of.displacement for of in found.classes] == pytest.approx([2, 2])
    assert len(found.profile) == 4


def test_of_three_classes_a_pixel_belongs_to_the_nearest_boundary():
    labels = torch.tensor([0] * 20 + [1] * 30 + [2] * 20).expand(1, 30, 70)
    features = functional.one_hot(labels, 3).movedim(-1, 1).float().clone()
    features[0, :, :, 18:20] = torch.tensor([0.0, 0.0, 1.0])[:, None, None]  # class 0 looks like 2, which is far away
    found = feature_similarity(features, labels)
    assert [of.displacement for of in found.classes] == pytest.approx([2, 0, 0])


def test_where_ground_truth_ends_is_no_boundary():
    labels = LABELS.clone()
    labels[:, :10] = 255
    features = columns([30])
    features[:, :, 14:17, :12] = features[:, :, 14:17, :12].flip(1)  # 5 to 7 pixels from what is ignored
    found = feature_similarity(features, labels)
    assert [of.displacement for of in found.classes] == [0, 0]
