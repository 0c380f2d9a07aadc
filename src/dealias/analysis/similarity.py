# SPDX-License-Identifier: Apache-2.0
"""Similarity of features within and between classes, and how far their boundaries are displaced (arXiv:2408.12879)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from .label_regions import RegionRule
from .similarity_measure import Array, Measurement, measure
from .similarity_result import ClassSimilarity, FeatureSimilarity


def feature_similarity(
    features: Tensor,
    labels: Tensor,
    ignore_index: int = 255,
    *,
    size: tuple[int, int] | None = None,
    band: int = 5,
    reach: int = 8,
) -> FeatureSimilarity:
    """Measure how well features keep classes apart near edges.

    Features are resized bilinearly to the labels. In each image a class has a centre, the mean feature of its interior,
    which is all that lies outside of a band around edges; pixels near ignored ones are left out of both, see
    :class:`dealias.analysis.RegionRule`. Then, for each class and image,

    - intra-class similarity: mean cosine of the pixels of the class in the band with its centre,
    - inter-class similarity: mean cosine of its centre with the centres of the other classes,
    - margin: the former less the latter,
    - similarity accuracy: share of its pixels in the band that are closer (by cosine) to its centre than to any other;
      equally close does not count.

    A class counts in an image if it has a centre and pixels in the band, and another class has a centre: thin objects,
    which are all band, do not count. Its numbers are means over these images, those of the whole means over classes.

    Displacement: give every pixel near an edge the class of the closest centre; these clusters have boundaries of their
    own. At each depth of up to ``reach`` pixels from the true boundary of a class, take the share of its pixels that
    went to other classes, and outside, of pixels whose nearest other class it is, the share that went to it. The sum of
    all shares is how far the boundary has moved, in pixels, averaged along it; the difference of outside and inside is
    the same with a sign. Shares are taken over the pixels of all images.

    Args:
        features: maps [B, C, h, w], floating; computed in float32, or float64 for such maps.
        labels: class ids, [B, H, W], any integer type.
        ignore_index: label of pixels without ground truth.
        size: height and width that labels, and then features, are resized to; 256 x 512 in the paper. ``None``: H x W.
        band: side in pixels of the square that widens edges, odd; 5 in the paper.
        reach: up to how many pixels from a boundary its displacement is looked for.

    Raises:
        ValueError: shapes, types, options, or features that are not finite.

    >>> import torch
    >>> labels = torch.arange(32).div(16, rounding_mode="floor").expand(1, 20, 32)
    >>> found = feature_similarity(torch.nn.functional.one_hot(labels).movedim(-1, 1).float(), labels)
    >>> found.intra, found.inter, found.margin, found.accuracy, found.displacement
    (1.0, 0.0, 1.0, 1.0, 0.0)
    """
    totals = SimilarityTotals(reach)
    totals.add(measure(features, RegionRule(ignore_index, size, band, reach).divide(labels)))
    return totals.compute()


@dataclass
class _ClassTotals:
    """Sums over the images: of the three numbers, and of the counts by distance."""

    hits: Array
    seen: Array
    images: int = 0
    numbers: Array = field(default_factory=lambda: np.zeros(3))


class SimilarityTotals:
    """Sums over images, a few numbers for each class, whatever the number of images and how they were batched.

    Args:
        reach: as of the regions that are measured upon.
    """

    def __init__(self, reach: int = RegionRule.reach) -> None:
        self.images = 0
        self._reach = reach
        self._classes: dict[int, _ClassTotals] = {}

    def add(self, measurements: list[Measurement]) -> None:
        """Add images."""
        self.images += len(measurements)
        for found in measurements:
            for position, label in enumerate(found.labels):
                self._add(label, found, position)

    def _add(self, label: int, found: Measurement, position: int) -> None:
        cells = 2 * self._reach
        totals = self._classes.setdefault(label, _ClassTotals(np.zeros(cells), np.zeros(cells)))
        totals.hits += found.hits[position]
        totals.seen += found.seen[position]
        numbers = np.array([values[position] for values in (found.intra, found.inter, found.accuracy)])
        if not np.isnan(numbers).any():
            totals.images += 1
            totals.numbers += numbers

    def compute(self) -> FeatureSimilarity:
        """Means so far."""
        counting = [(label, totals) for label, totals in sorted(self._classes.items()) if totals.images]
        return FeatureSimilarity(self.images, tuple(_summary(label, totals) for label, totals in counting))


def _summary(label: int, totals: _ClassTotals) -> ClassSimilarity:
    intra, inter, accuracy = (totals.numbers / totals.images).tolist()
    shares = np.where(totals.seen > 0, totals.hits / np.maximum(totals.seen, 1), np.nan)
    return ClassSimilarity(label, totals.images, intra, inter, accuracy, tuple(shares.tolist()))
