# SPDX-License-Identifier: Apache-2.0
"""What a comparison varies: which fusion, prefilter and mixer a network has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

NONE = "none"


@dataclass(frozen=True)
class Variant:
    """The parts of a network that a comparison varies; ``"none"``: the network goes without.

    >>> Variant("carafe").name, Variant("bilinear", "daf", "freqmix").name
    ('carafe', 'bilinear + daf + freqmix')
    """

    fusion: str
    prefilter: str = NONE
    mixer: str = NONE

    @property
    def name(self) -> str:
        """For people: the fusion, and what else there is."""
        return " + ".join(self._parts())

    @property
    def folder(self) -> str:
        """Start of the names of its run directories."""
        return "-".join(self._parts())

    def _parts(self) -> list[str]:
        return [self.fusion, *(part for part in (self.prefilter, self.mixer) if part != NONE)]


def cross(fusions: Sequence[str], prefilters: Sequence[str], mixers: Sequence[str]) -> tuple[Variant, ...]:
    """Every fusion with every prefilter with every mixer, in this order; the first is the baseline.

    Args:
        fusions: names.
        prefilters: names; ``"daf+freqmix"`` is a prefilter with its mixer, which is not crossed with ``mixers``.
        mixers: names.

    Raises:
        ValueError: nothing to compare, or two variants are the same.

    >>> [variant.name for variant in cross(["bilinear"], ["none", "daf", "daf+freqmix"], ["none"])]
    ['bilinear', 'bilinear + daf', 'bilinear + daf + freqmix']
    """
    before = [(name, mixer) for text in prefilters for name, mixer in _pairs(text, mixers)]
    variants = tuple(Variant(fusion, *pair) for fusion, pair in product(fusions, before))
    names = [variant.name for variant in variants]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"what is compared must be one or more different variants, got {', '.join(names) or 'none'}")
    return variants


def _pairs(prefilter: str, mixers: Sequence[str]) -> list[tuple[str, str]]:
    name, _, mixer = prefilter.partition("+")
    return [(name, mixer)] if mixer else [(name, other) for other in mixers]
