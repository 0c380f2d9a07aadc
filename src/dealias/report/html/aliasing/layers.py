# SPDX-License-Identifier: Apache-2.0
"""The table of layers: what each of them can keep, and how much of what arrives it cannot."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dealias.analysis import LayerAliasing
from dealias.report.html.numbers import UNKNOWN, percent

GRID_LIMIT = 0.5
"""Cycles per sample: a map holds no higher frequencies."""

_KNOWN_KINDS = frozenset(
    ["convolution", "depthwise convolution", "grouped convolution", "max pool", "average pool", "power-average pool"]
)


@dataclass(frozen=True)
class LayerRow:
    """A layer, ready to print.

    Attributes:
        name: of the module.
        kind: what it is.
        kernel: its side; unknown for layers that were found by observation.
        stride: samples per output.
        channels: before and after.
        rate: equivalent sampling rate.
        limit: its highest frequency, text.
        period: the finest pattern that it keeps, text; empty if it keeps all.
        score: percent.
        spread: percent, standard deviation over the images; empty for a single one.
        noise: score of white noise in percent.
        values: of the columns, to sort by.
        shares: score and noise as fractions.
        is_worst: whether no other has so high a score.
    """

    name: str
    kind: str
    kernel: str
    stride: int
    channels: str
    rate: str
    limit: str
    period: str
    score: str
    spread: str
    noise: str
    values: tuple[float, ...]
    shares: tuple[float, float]
    is_worst: bool


def layer_row(layer: LayerAliasing, is_worst: bool) -> LayerRow:
    """Lay out a layer."""
    is_known = layer.kind in _KNOWN_KINDS
    keeps_all = layer.nyquist >= GRID_LIMIT
    noise = noise_score(layer)
    return LayerRow(
        name=layer.name,
        kind=layer.kind,
        kernel=str(layer.kernel) if is_known else UNKNOWN,
        stride=layer.stride,
        channels=f"{layer.in_channels} → {layer.out_channels}",
        rate=f"{layer.rate:.2f}",
        limit=f"{min(layer.nyquist, GRID_LIMIT):.3f}",
        period="keeps all" if keeps_all else f"period ≥ {1 / layer.nyquist:.1f}",
        score=percent(layer.score),
        spread="" if math.isnan(layer.score_std) else percent(layer.score_std),
        noise=percent(noise, 0),
        values=(layer.kernel, layer.stride, layer.out_channels / layer.in_channels, layer.rate, layer.nyquist),
        shares=(layer.score, noise),
        is_worst=is_worst,
    )


def noise_score(layer: LayerAliasing) -> float:
    """The score that white noise would have, whose power is the same at all frequencies."""
    return 1 - min(2 * layer.nyquist, 1.0) ** 2
