# SPDX-License-Identifier: Apache-2.0
"""The outcome of an analysis of similarity in plain sentences."""

from __future__ import annotations

import math

from dealias.analysis import MapSimilarity
from dealias.report.html.analyses import ONE_IMAGE, RANDOM_WEIGHTS
from dealias.report.html.numbers import listed, percent

from .document import Document
from .rows import MAP_NAMES, before_of

_SAME = 5e-4
"""Smaller differences of accuracy do not show in the numbers."""


def verdict(document: Document) -> list[str]:
    """What was found at the last layer, whose features are the closest to the answer; the main sentence first."""
    found = document.telling[-1]
    if not found.after.classes:
        return [f"At {found.layer} no class could be measured."]
    if found.before is None:
        return [
            f"At {found.layer}, {percent(found.after.accuracy)} % of the pixels near edges look like their own class.",
            f"The boundaries between classes, as the features draw them, are {found.after.displacement:.1f} px off.",
        ]
    accuracy = f"{percent(found.after.accuracy)} % of the pixels near edges look like their own class"
    if abs(found.after.accuracy - found.before.accuracy) < _SAME:
        return [
            f"At {found.layer}, {accuracy}, as many as before.",
            "What is compared with is bilinear upsampling of the same features: the fusion does nothing else, or no "
            "better.",
            f"Boundaries, as the features draw them, are {found.after.displacement:.1f} px off.",
        ]
    before = f"with bilinear upsampling of the same features it would be {percent(found.before.accuracy)} %"
    displaced = f"{found.after.displacement:.1f} px off instead of {found.before.displacement:.1f} px"
    return [
        f"After {found.layer}, {accuracy}; {before}.",
        f"The boundaries between classes, as the features draw them, are {displaced}.",
        *_classes(document, found),
    ]


def _classes(document: Document, found: MapSimilarity) -> list[str]:
    """Which classes gain most, and which lose."""
    gains = {}
    for after in found.after.classes:
        before = before_of(found, after.label)
        if before is not None:
            gains[document.name_of(after.label)] = 100 * (after.accuracy - before.accuracy)
    if len(gains) < 2:
        return []
    best = max(gains, key=lambda name: gains[name])
    worst = [name for name, gain in gains.items() if gain < -100 * _SAME]
    sentences = [f"Most is gained for {best} ({gains[best]:+.1f} points)."] if gains[best] > 0 else []
    if worst:
        sentences.append(f"Accuracy falls for {listed(worst)}.")
    return sentences


def warnings(document: Document) -> list[tuple[str, str]]:
    """What a reader must know before trusting the numbers: a catchword and a sentence each."""
    found = []
    if document.origin.weights == "random":
        found.append(RANDOM_WEIGHTS)
    if document.origin.images == 1:
        found.append(ONE_IMAGE)
    found += [("Not measured.", f"{name}: no image passed it.") for name in document.unused]
    return found


def uncounted(document: Document) -> list[str]:
    """Names of the classes that count at no map: they are not in the images, too thin, or alone."""
    counted = {of.label for found in document.maps for of in found.after.classes}
    return [name for label, name in enumerate(document.classes) if label not in counted]


def comparison(found: MapSimilarity) -> str:
    """A map in a few words, for headings."""
    name = MAP_NAMES.get(found.map, found.map)
    accuracy = percent(found.after.accuracy)
    if found.before is None or math.isnan(found.before.accuracy):
        return f"{name}: {accuracy} %"
    return f"{name}: {percent(found.before.accuracy)} → {accuracy} %"
