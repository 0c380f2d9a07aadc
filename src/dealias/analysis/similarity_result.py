# SPDX-License-Identifier: Apache-2.0
"""What is known of how well features keep classes apart: of each class, and in mean over the classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any


@dataclass(frozen=True)
class ClassSimilarity:
    """How features near edges resemble one class, in mean over the images in which it counts.

    Attributes:
        label: of the class.
        images: in which it counts.
        intra: cosine of its pixels in the band with its centre, -1 to 1.
        inter: cosine of its centre with those of the other classes, likewise.
        accuracy: share of its pixels in the band that are closer to its centre than to any other, 0 to 1.
        profile: share of pixels that are closest to its centre, by distance from its boundary in steps of a pixel: the
            first half inside of the class, from the deepest pixels to those on the boundary, the other half outside,
            from the boundary on; nan where there is no pixel. Ideal are ones followed by zeros.
    """

    label: int
    images: int
    intra: float
    inter: float
    accuracy: float
    profile: tuple[float, ...]

    @property
    def margin(self) -> float:
        """``intra - inter``."""
        return self.intra - self.inter

    @property
    def lost(self) -> float:
        """By how many pixels, on average, others reach into the class."""
        return sum(1 - share for share in self.profile[: len(self.profile) // 2] if not math.isnan(share))

    @property
    def taken(self) -> float:
        """By how many pixels, on average, the class reaches into others."""
        return sum(share for share in self.profile[len(self.profile) // 2 :] if not math.isnan(share))

    @property
    def displacement(self) -> float:
        """Mean absolute distance in pixels of the boundary between clusters of features from the true boundary."""
        return self.lost + self.taken

    @property
    def shift(self) -> float:
        """Mean signed distance: positive where the class has grown, negative where it has given way."""
        return self.taken - self.lost


@dataclass(frozen=True)
class FeatureSimilarity:
    """How well features keep classes apart near edges.

    The numbers of the whole are means over the classes, nan if no class counts.

    Attributes:
        images: that were measured.
        classes: those that count in some image, by label.
    """

    images: int
    classes: tuple[ClassSimilarity, ...]

    @property
    def intra(self) -> float:
        """Intra-class similarity."""
        return mean([of.intra for of in self.classes])

    @property
    def inter(self) -> float:
        """Inter-class similarity."""
        return mean([of.inter for of in self.classes])

    @property
    def margin(self) -> float:
        """``intra - inter``."""
        return self.intra - self.inter

    @property
    def accuracy(self) -> float:
        """Similarity accuracy."""
        return mean([of.accuracy for of in self.classes])

    @property
    def displacement(self) -> float:
        """Displacement of boundaries in pixels."""
        return mean([of.displacement for of in self.classes])

    @property
    def profile(self) -> tuple[float, ...]:
        """Mean of the profiles, over the classes that have pixels there."""
        return tuple(mean(shares) for shares in zip(*(of.profile for of in self.classes), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """All numbers, in plain Python values."""
        names = ("intra", "inter", "margin", "accuracy", "displacement")
        classes = [
            {
                "label": of.label,
                "images": of.images,
                **{name: getattr(of, name) for name in (*names, "shift")},
                "profile": list(of.profile),
            }
            for of in self.classes
        ]
        overall = {name: getattr(self, name) for name in names}
        return {"images": self.images, **overall, "profile": list(self.profile), "classes": classes}


def mean(values: Sequence[float]) -> float:
    """Mean of the known ones, nan without any.

    >>> mean([1.0, math.nan, 2.0]), mean([])
    (1.5, nan)
    """
    known = [value for value in values if not math.isnan(value)]
    return fmean(known) if known else math.nan
