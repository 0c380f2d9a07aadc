# SPDX-License-Identifier: Apache-2.0
"""The outcome of an analysis in plain sentences."""

from __future__ import annotations

import math
from statistics import fmean

from dealias.report.html.analyses import ONE_IMAGE, RANDOM_WEIGHTS
from dealias.report.html.errors import ERROR_KINDS
from dealias.report.html.numbers import listed, percent

from .document import Document
from .layers import GRID_LIMIT, noise_score

_CHANCE = 0.05
"""A correlation counts if less than this share of random pairings is as large."""

ERROR_NAMES = {kind.metric: f"{kind.name.lower()}s" for kind in ERROR_KINDS if kind.metric}
"""What the metrics of errors count."""


def verdict(document: Document) -> list[str]:
    """What was found, the most important sentence first."""
    losing = document.losing
    if not losing:
        return [f"No layer of {document.origin.network} loses detail.", *_keeping(document)]
    worst = losing[0]
    sentences = [
        f"Aliasing is strongest at {worst.name}: {percent(worst.score)} % of the power that arrives there is in "
        "patterns too fine for the layer to keep.",
        "What a layer cannot keep does not vanish. It comes back as false, coarser patterns, which the rest of the "
        "network cannot tell from real ones.",
    ]
    if len(losing) > 1:
        mean, noise = fmean(layer.score for layer in losing), fmean(map(noise_score, losing))
        sentences.append(
            f"The mean over the {len(losing)} layers that lose something is {percent(mean)} %; of noise without any "
            f"structure it would be {percent(noise, 0)} %."
        )
    return sentences + _keeping(document)


def _keeping(document: Document) -> list[str]:
    """Why the other layers lose nothing."""
    able = sum(layer.nyquist >= GRID_LIMIT for layer in document.layers)
    spared = sum(layer.nyquist < GRID_LIMIT and not layer.loses for layer in document.layers)
    sentences = []
    if able:
        subject = "1 layer" if able == 1 else f"{able} layers"
        sentences.append(f"{subject} can keep everything: the channels added there can hold what the stride skips.")
    if spared:
        subject = "At 1 layer" if spared == 1 else f"At {spared} layers"
        sentences.append(f"{subject} nothing arrives beyond the limit, as behind a filter that removes it.")
    return sentences


def connection(document: Document) -> list[str]:
    """Which errors go with aliasing, by the mean over the layers; none if nothing is known."""
    grows: list[str] = []
    falls: list[str] = []
    unclear: list[str] = []
    for metric in document.errors:
        found = document.correlations.get((None, metric))
        if found is None or math.isnan(found.pearson):
            continue
        if found.p_value >= _CHANCE:
            unclear.append(metric)
        else:
            name = ERROR_NAMES.get(metric, "errors")
            (grows if found.pearson > 0 else falls).append(f"{name} ({metric}, r = {signed(found.pearson)})")
    sentences = []
    if grows:
        sentences.append(f"Images with more aliasing have more {listed(grows)}.")
    if falls:
        sentences.append(f"Images with more aliasing have fewer {listed(falls)}.")
    if unclear:
        sentences.append(f"For {listed(unclear)} these images show no connection that could not be chance.")
    return sentences


def signed(value: float) -> str:
    """A correlation with two digits.

    >>> signed(-0.078)
    '−0.08'
    """
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def warnings(document: Document) -> list[tuple[str, str]]:
    """What a reader must know before trusting the numbers: a catchword and a sentence each."""
    found = []
    if document.origin.weights == "random":
        found.append(RANDOM_WEIGHTS)
    if len(document.images) == 1:
        found.append(ONE_IMAGE)
    found += [("Not measured.", f"{name}: {reason}.") for name, reason in document.missing]
    return found
