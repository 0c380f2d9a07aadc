# SPDX-License-Identifier: Apache-2.0
"""The outcome of an analysis of modulation in plain sentences."""

from __future__ import annotations

import math

from dealias.analysis import StageModulation
from dealias.report.html.analyses import ONE_IMAGE, RANDOM_WEIGHTS
from dealias.report.html.numbers import listed, percent

from .document import Document

_STILL = 0.01
"""Pixels: smaller displacements do nothing."""


def verdict(document: Document) -> list[str]:
    """What was found, the main sentence first: at the first stage, whose map is the finest."""
    if all(not stage.displacement.mean > _STILL for stage in document.stages):
        return [
            "The modulations do nothing: all samples are where they would be without.",
            "A new modulation begins like that, and moves them as it is trained.",
        ]
    stage = document.stages[0]
    return [_aliasing(stage), _round_trip(stage), *_boundaries(document)]


def _aliasing(stage: StageModulation) -> str:
    before, after = (percent(stage.aliasing[name].mean) for name in ("before", "modulated"))
    if after == before:
        return f"At {stage.name}, {after} % of the power is too fine for the stride, with modulation or without."
    lowers = stage.aliasing["modulated"].mean < stage.aliasing["before"].mean
    return (
        f"At {stage.name}, modulation {'lowers' if lowers else 'raises'} frequencies: {after} % instead of {before} % "
        "of the power is too fine for the stride that follows."
    )


def _round_trip(stage: StageModulation) -> str:
    after, before = stage.lost["demodulated"].mean, stage.lost["plain"].mean
    return (
        f"Sampled by the stride and brought back, the map loses {percent(after)} % of its variance; without modulation "
        f"it would lose {percent(before)} %."
    )


def _boundaries(document: Document) -> list[str]:
    """How dense samples are along boundaries of labels, in the finest stage and the others."""
    known = [stage for stage in document.stages if not math.isnan(stage.density.mean)]
    if not known:
        return []
    first, *others = known
    texts = [f"{first.density.mean:.2f} times as dense along boundaries between labels as on average"]
    texts += [f"{stage.density.mean:.2f} at {stage.name}" for stage in others]
    return [f"Samples are {listed(texts)}."]


def warnings(document: Document) -> list[tuple[str, str]]:
    """What a reader must know before trusting the numbers: a catchword and a sentence each."""
    found = []
    if document.origin.weights == "random":
        found.append(RANDOM_WEIGHTS)
    if document.origin.images == 1:
        found.append(ONE_IMAGE)
    folded = [stage for stage in document.stages if stage.flips.mean > 0]
    if folded:
        names = listed([f"{stage.name} ({stage.flips.mean:.1f} triangles per image)" for stage in folded])
        found.append(("Folds.", f"The warp is not one to one at {names}; what lies there cannot be brought back."))
    return found
