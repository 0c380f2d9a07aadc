# SPDX-License-Identifier: Apache-2.0
"""What a comparison varies: which fusion, prefilter, mixer and modulation a network has, and a loss of the latter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

NONE = "none"

LOSS = "loss"
"""What follows a modulation that is trained with its loss, :class:`~dealias.losses.SemanticHighFrequencyLoss`."""


@dataclass(frozen=True)
class Variant:
    """The parts of a network that a comparison varies; ``"none"``: the network goes without.

    >>> Variant("carafe").name, Variant("bilinear", "daf", "freqmix").name
    ('carafe', 'bilinear + daf + freqmix')
    """

    fusion: str
    prefilter: str = NONE
    mixer: str = NONE
    modulation: str = NONE
    supervision: str = NONE

    @property
    def name(self) -> str:
        """For people: the fusion, and what else there is."""
        return " + ".join(self._parts())

    @property
    def folder(self) -> str:
        """Start of the names of its run directories."""
        return "-".join(self._parts())

    def _parts(self) -> list[str]:
        others = (self.prefilter, self.mixer, self.modulation, self.supervision)
        return [self.fusion, *(part for part in others if part != NONE)]


def cross(
    fusions: Sequence[str], prefilters: Sequence[str], mixers: Sequence[str], modulations: Sequence[str] = (NONE,)
) -> tuple[Variant, ...]:
    """Every fusion with every prefilter with every mixer with every modulation, in this order.

    The first is the baseline.

    Args:
        fusions: names.
        prefilters: names; ``"daf+freqmix"`` is a prefilter with its mixer, which is not crossed with ``mixers``.
        mixers: names.
        modulations: names; ``"ars+loss"`` is a modulation that is trained with its loss.

    Raises:
        ValueError: nothing to compare, two variants are the same, or something else than the loss follows a modulation.

    >>> [variant.name for variant in cross(["bilinear"], ["none", "daf", "daf+freqmix"], ["none"])]
    ['bilinear', 'bilinear + daf', 'bilinear + daf + freqmix']
    >>> [variant.name for variant in cross(["bilinear"], ["none"], ["none"], ["none", "ars", "ars+loss"])]
    ['bilinear', 'bilinear + ars', 'bilinear + ars + loss']
    """
    before = [(name, mixer) for text in prefilters for name, mixer in _pairs(text, mixers)]
    after = [_supervised(text) for text in modulations]
    variants = tuple(
        Variant(fusion, *pair, *modulation) for fusion, pair, modulation in product(fusions, before, after)
    )
    names = [variant.name for variant in variants]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"what is compared must be one or more different variants, got {', '.join(names) or 'none'}")
    return variants


def _pairs(prefilter: str, mixers: Sequence[str]) -> list[tuple[str, str]]:
    name, _, mixer = prefilter.partition("+")
    return [(name, mixer)] if mixer else [(name, other) for other in mixers]


def _supervised(modulation: str) -> tuple[str, str]:
    name, plus, supervision = modulation.partition("+")
    if plus and (supervision != LOSS or name == NONE):
        raise ValueError(f"a modulation is a name, or one with its loss such as 'ars+{LOSS}', got {modulation!r}")
    return name, supervision or NONE
