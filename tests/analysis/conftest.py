# SPDX-License-Identifier: Apache-2.0
"""Feature similarity by loops over pixels, from its definition."""

import numpy as np
import pytest
from scipy import ndimage


@pytest.fixture(scope="session")
def blobs():
    """``blobs(seed, size, classes, ignored)``: label maps of blobs [1, H, W]; of some a corner is ignored."""

    def make(seed, size=(30, 37), classes=4, ignored=0):
        random = np.random.default_rng(seed)
        fields = np.stack([ndimage.gaussian_filter(random.standard_normal(size), 4) for _ in range(classes)])
        labels = fields.argmax(0).astype(np.int64)
        labels[:ignored, :ignored] = 255
        return labels

    return make


@pytest.fixture(scope="session")
def similarity_by_loops():
    return by_loops


def by_loops(features, labels, band=5):
    """Intra-class and inter-class similarity and accuracy by class, of one image: features [C, h, w], labels [H, W]."""
    height, width = labels.shape
    fine = resized(features, height, width)
    places = [(y, x) for y in range(height) for x in range(width)]
    edge = {place for place in places if any(labels[of] != labels[place] for of in beside(*place, height, width))}
    radius, reach = band // 2, band // 2 + 1
    near_ignored = {
        (y, x)
        for y, x in places
        if (labels[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1] == 255).any()
    }
    in_band = {(y + v, x + u) for y, x in edge for v in range(-radius, radius + 1) for u in range(-radius, radius + 1)}
    counted = [place for place in places if place not in near_ignored]
    centres = {}
    for label in sorted({int(labels[place]) for place in counted}):
        interior = [fine[:, y, x] for y, x in counted if (y, x) not in in_band and labels[y, x] == label]
        if interior:
            centres[label] = np.mean(interior, axis=0)
    found = {}
    for label, centre in centres.items():
        others = [other for other in centres if other != label]
        pixels = [fine[:, y, x] for y, x in counted if (y, x) in in_band and labels[y, x] == label]
        if not others or not pixels:
            continue
        own = [cosine(pixel, centre) for pixel in pixels]
        rivals = [max(cosine(pixel, centres[other]) for other in others) for pixel in pixels]
        inter = np.mean([cosine(centre, centres[other]) for other in others])
        found[label] = (np.mean(own), inter, np.mean(np.array(own) > np.array(rivals)))
    return found


def beside(y, x, height, width):
    return [(v, u) for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)) if 0 <= v < height and 0 <= u < width]


def cosine(a, b):
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def resized(features, height, width):
    """Bilinear with half-pixel centres, borders repeated."""
    rows, columns = (
        axis_weights(small, large) for small, large in zip(features.shape[1:], (height, width), strict=True)
    )
    return np.einsum("yh,chw,xw->cyx", rows, features, columns)


def axis_weights(small, large):
    weights = np.zeros((large, small))
    for place in range(large):
        source = min(max((place + 0.5) * small / large - 0.5, 0), small - 1)
        first = int(source)
        weights[place, first] += 1 - (source - first)
        weights[place, min(first + 1, small - 1)] += source - first
    return weights
