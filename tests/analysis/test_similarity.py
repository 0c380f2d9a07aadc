# SPDX-License-Identifier: Apache-2.0
"""Feature similarity against loops over pixels, and where its value is known."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from dealias.analysis import feature_similarity, similarity_measure
from dealias.analysis.label_regions import RegionRule
from dealias.analysis.similarity import SimilarityTotals
from dealias.analysis.similarity_measure import measure

NUMBERS = ("intra", "inter", "accuracy")


def one_hot(labels, classes):
    return functional.one_hot(labels.clamp(max=classes - 1), classes).movedim(-1, 1).float()


def halves(height=24, width=40, at=20):
    """Class 0 left of a column, class 1 from there on."""
    return (torch.arange(width) >= at).long().expand(1, height, width)


def assert_same(found, expected):
    np.testing.assert_equal(found.to_dict(), expected.to_dict())  # nan equals nan


@pytest.mark.parametrize(
    ("seed", "size", "grid", "band", "ignored"),
    [
        (0, (30, 37), (30, 37), 5, 0),
        (1, (30, 37), (8, 10), 5, 9),
        (2, (41, 24), (11, 6), 3, 4),
        (3, (20, 30), (40, 7), 1, 5),
    ],
)
def test_numbers_equal_loops(blobs, similarity_by_loops, seed, size, grid, band, ignored):
    labels = blobs(seed, size, ignored=ignored)
    features = np.random.default_rng(seed).standard_normal((6, *grid)) + 0.3
    expected = similarity_by_loops(features, labels, band)
    assert len(expected) >= 2
    found = feature_similarity(torch.from_numpy(features)[None], torch.from_numpy(labels)[None], band=band)
    assert [of.label for of in found.classes] == list(expected)
    for of in found.classes:
        assert (of.intra, of.inter, of.accuracy) == pytest.approx(expected[of.label], abs=1e-9)
        assert of.margin == pytest.approx(of.intra - of.inter)
    means = np.mean(list(expected.values()), axis=0)
    assert [getattr(found, name) for name in NUMBERS] == pytest.approx(means.tolist(), abs=1e-9)
    assert found.margin == pytest.approx(means[0] - means[1], abs=1e-9)


def test_images_count_the_same_for_a_class(blobs, similarity_by_loops):
    labels = [blobs(4), blobs(5), blobs(6, classes=2)]
    features = np.random.default_rng(4).standard_normal((3, 5, 9, 11)) + 0.2
    alone = [similarity_by_loops(of_image, of) for of_image, of in zip(features, labels, strict=True)]
    found = feature_similarity(torch.from_numpy(features), torch.from_numpy(np.stack(labels)))
    for of in found.classes:
        known = [numbers[of.label] for numbers in alone if of.label in numbers]
        assert of.images == len(known)
        assert (of.intra, of.inter, of.accuracy) == pytest.approx(np.mean(known, axis=0).tolist(), abs=1e-9)
    assert {of.images for of in found.classes} == {2, 3} and found.images == 3


def test_any_batching_gives_the_same_numbers(blobs):
    labels = torch.from_numpy(np.stack([blobs(seed, ignored=seed % 3) for seed in range(5)]))
    features = torch.randn(5, 7, 8, 9, generator=torch.Generator().manual_seed(0))
    at_once, rule = feature_similarity(features, labels), RegionRule()
    for sizes in ([1] * 5, [2, 3], [4, 1]):
        totals = SimilarityTotals()
        for maps, of in zip(features.split(sizes), labels.split(sizes), strict=True):
            totals.add(measure(maps, rule.divide(of)))
        assert_same(totals.compute(), at_once)


def test_channels_are_resized_some_at_a_time(blobs, monkeypatch):
    labels = torch.from_numpy(blobs(0))[None]
    features = torch.randn(1, 7, 8, 9, generator=torch.Generator().manual_seed(0)).double()
    at_once = feature_similarity(features, labels)
    monkeypatch.setattr(similarity_measure, "_BLOCK", 2 * labels.numel())
    in_parts = feature_similarity(features, labels)
    assert [of.intra for of in in_parts.classes] == pytest.approx([of.intra for of in at_once.classes], abs=1e-12)
    assert in_parts.profile == at_once.profile


def test_perfect_features_are_perfect(blobs):
    labels = torch.from_numpy(blobs(1, classes=5))[None]
    found = feature_similarity(one_hot(labels, 5), labels)
    for of in (found, *found.classes):
        assert (of.intra, of.inter, of.margin, of.accuracy, of.displacement) == pytest.approx((1, 0, 1, 1, 0))
    assert found.profile == (1.0,) * 8 + (0.0,) * 8


def test_random_features_have_no_margin(blobs):
    labels = torch.from_numpy(np.stack([blobs(seed, (90, 90), classes=2) for seed in range(3)]))
    features = torch.randn(3, 256, 90, 90, generator=torch.Generator().manual_seed(0))
    found = feature_similarity(features, labels)
    assert abs(found.intra) < 0.02 and abs(found.margin) < 0.2 and found.accuracy == pytest.approx(0.5, abs=0.06)


def test_equally_close_does_not_count():
    found = feature_similarity(torch.ones(1, 3, 24, 40), halves())
    assert (found.intra, found.inter, found.accuracy) == pytest.approx((1, 1, 0))


@pytest.mark.parametrize(
    ("dtype", "factor"),
    [
        (torch.float16, 6e4),
        (torch.bfloat16, 1e30),
        (torch.bfloat16, 1e-30),
        (torch.float32, 1e30),
        (torch.float32, 1e-30),
    ],
)
def test_the_size_of_features_makes_no_difference(blobs, dtype, factor):
    labels = torch.from_numpy(blobs(0))[None]
    features = torch.randn(1, 5, 8, 9, generator=torch.Generator().manual_seed(0))
    scaled = (features / features.abs().max() * factor).to(dtype)
    assert feature_similarity(scaled, labels).intra == pytest.approx(
        feature_similarity(features, labels).intra, abs=5e-3
    )


def test_what_is_near_ignored_pixels_makes_no_difference():
    labels, features = halves(40, 48, 24).clone(), torch.rand(1, 4, 40, 48, generator=torch.Generator().manual_seed(0))
    labels[0, :9] = 255
    expected = feature_similarity(features, labels)
    features[0, :, :12] = features[0, :, :12].flip(0)
    assert_same(feature_similarity(features, labels), expected)
    features[0, :, 12] = features[0, :, 12].flip(0)
    assert feature_similarity(features, labels).intra != expected.intra, "three pixels are near"


def test_labels_can_be_brought_to_another_size(blobs):
    labels = torch.from_numpy(blobs(0, (24, 32)))[None]
    features = torch.randn(1, 5, 6, 8, generator=torch.Generator().manual_seed(0))
    large = labels.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert_same(feature_similarity(features, large, size=(24, 32)), feature_similarity(features, labels))
    assert_same(feature_similarity(features, labels, size=(48, 64)), feature_similarity(features, large))


def test_one_class_alone_has_nothing_to_compare_with():
    found = feature_similarity(torch.rand(2, 3, 8, 8), torch.ones(2, 16, 16, dtype=torch.uint8))
    assert found.classes == () and found.images == 2 and found.profile == ()
    assert all(math.isnan(getattr(found, name)) for name in (*NUMBERS, "margin", "displacement"))


def test_a_class_without_interior_does_not_count():
    labels = halves(30, 60, 30).clone()
    labels[0, :, 10:13] = 7
    features = one_hot(torch.where(labels == 7, 2, labels), 3)
    found = feature_similarity(features, labels)
    assert [of.label for of in found.classes] == [0, 1]
    assert found.accuracy == 1 and found.displacement == 0


def test_all_ignored_is_no_error():
    assert feature_similarity(torch.rand(1, 3, 8, 8), torch.full((1, 16, 16), 255)).classes == ()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_features_on_a_gpu_with_labels_anywhere(blobs):
    labels = torch.from_numpy(blobs(0))[None]
    features = torch.randn(1, 5, 8, 9, generator=torch.Generator().manual_seed(0)).double()
    expected = feature_similarity(features, labels)
    for of in (labels, labels.cuda()):
        found = feature_similarity(features.cuda(), of)
        assert found.profile == pytest.approx(expected.profile, nan_ok=True)
        assert [each.intra for each in found.classes] == pytest.approx([each.intra for each in expected.classes])


WRONG = {
    "features": (
        torch.zeros(3, 8, 8),
        torch.zeros(1, 8, 8, dtype=torch.int64),
        {},
        r"maps \[1, C, h, w\].*\(3, 8, 8\)",
    ),
    "integers": (torch.zeros(1, 3, 8, 8, dtype=torch.int64), torch.zeros(1, 8, 8, dtype=torch.int64), {}, "int64"),
    "labels": (torch.zeros(1, 3, 8, 8), torch.zeros(1, 8, 8), {}, r"integers \[B, H, W\], got torch.float32"),
    "batch": (torch.zeros(2, 3, 8, 8), torch.zeros(1, 8, 8, dtype=torch.int64), {}, r"\[1, C, h, w\], as many"),
    "band": (
        torch.zeros(1, 3, 8, 8),
        torch.zeros(1, 8, 8, dtype=torch.int64),
        {"band": 4},
        "odd and positive, found 4",
    ),
    "reach": (
        torch.zeros(1, 3, 8, 8),
        torch.zeros(1, 8, 8, dtype=torch.int64),
        {"reach": 0},
        "reach must be at least 1",
    ),
    "nan": (torch.full((1, 3, 24, 40), math.nan), halves(), {}, "features must be finite"),
}


@pytest.mark.parametrize(("features", "labels", "options", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(features, labels, options, message):
    with pytest.raises(ValueError, match=message):
        feature_similarity(features, labels, **options)
