# SPDX-License-Identifier: Apache-2.0
"""What is known of aliasing at one layer: measured per call, summed over images, summarised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .reduction import Reduction
from .score import share_above
from .spectra import power_shares, resampled_rings, resampled_spectrum, ring_frequencies

BINS = 32
"""Rings of the radial spectra."""

CELLS = 33
"""Cells along each axis of the two-dimensional spectra."""

NEGLIGIBLE = 5e-4
"""Scores below are those of layers behind a filter that removes what they cannot keep."""


@dataclass(frozen=True)
class LayerAliasing:
    """Aliasing at the input of a downsampling layer, over the images that passed it.

    Frequencies are in cycles per sample of the layer's input, spectra are shares of power as in
    :func:`dealias.analysis.power_spectrum`, in mean over the images.

    Attributes:
        name: of the module in the network.
        kind: of layer, such as ``"convolution"`` or ``"max pool"``; its class if it was found by observation.
        kernel: its side, along the axis with the lower rate where rows and columns differ.
        stride: likewise.
        in_channels: of its input.
        out_channels: of its output.
        rate: equivalent sampling rate.
        nyquist: half of it, the highest frequency that the layer can keep; above 0.5 there is none that it cannot.
        score: aliasing score, mean over the images.
        score_std: standard deviation over the images (n - 1), nan for a single one.
        images: how many they were.
        frequencies: middles of the rings of the radial spectrum.
        radial_power: share of each ring.
        spectrum: two-dimensional spectrum, rows of cells with frequency 0 in the middle.
    """

    name: str
    kind: str
    kernel: int
    stride: int
    in_channels: int
    out_channels: int
    rate: float
    nyquist: float
    score: float
    score_std: float
    images: int
    frequencies: list[float]
    radial_power: list[float]
    spectrum: list[list[float]]

    @property
    def loses(self) -> bool:
        """Whether the layer loses a share of power that is worth mentioning, at least 0.05 %."""
        return self.score >= NEGLIGIBLE


Array = NDArray[np.float64]


@dataclass(frozen=True)
class Measurement:
    """One call of a layer: the scores of its items [B], and the sums of their spectra [BINS] and [CELLS, CELLS]."""

    reduction: Reduction
    scores: Array
    rings: Array
    spectrum: Array


@torch.no_grad()
def measure(reduction: Reduction, x: Tensor) -> Measurement:
    """Measure the input of a call, item by item, so that the spectrum of only one is in memory at a time."""
    with torch.autocast(x.device.type, enabled=False):
        shares = [power_shares(item[None]) for item in reduction.maps(x)]
        scores = torch.cat([share_above(each, reduction.nyquist) for each in shares])
        rings = torch.cat([resampled_rings(each, BINS) for each in shares]).sum(0)
        spectrum = torch.cat([resampled_spectrum(each, CELLS) for each in shares]).sum(0)
    return Measurement(reduction, *(found.double().cpu().numpy() for found in (scores, rings, spectrum)))


@dataclass
class Totals:
    """Sums over all images at a layer, in float64, and the score of each image."""

    reduction: Reduction
    scores: list[float] = field(default_factory=list)
    rings: Array = field(default_factory=lambda: np.zeros(BINS))
    spectrum: Array = field(default_factory=lambda: np.zeros((CELLS, CELLS)))

    def add(self, calls: Sequence[Measurement]) -> None:
        """Add the calls of one run of the network: their mean if they had the same items, otherwise item by item."""
        if len({len(call.scores) for call in calls}) == 1:
            scores, weight = np.mean([call.scores for call in calls], axis=0), 1 / len(calls)
        else:
            scores, weight = np.concatenate([call.scores for call in calls]), 1.0
        self.scores += scores.tolist()
        self.rings += weight * sum(call.rings for call in calls)
        self.spectrum += weight * sum(call.spectrum for call in calls)

    def summary(self, name: str) -> LayerAliasing:
        """Means and spread over the images."""
        window, images = self.reduction.window, len(self.scores)
        return LayerAliasing(
            name=name,
            kind=self.reduction.kind,
            kernel=window.kernel[window.axis],
            stride=window.stride[window.axis],
            in_channels=window.in_channels,
            out_channels=window.out_channels,
            rate=window.rate,
            nyquist=self.reduction.nyquist,
            score=fmean(self.scores),
            score_std=stdev(self.scores) if images > 1 else math.nan,
            images=images,
            frequencies=ring_frequencies(BINS).tolist(),
            radial_power=(self.rings / images).tolist(),
            spectrum=(self.spectrum / images).tolist(),
        )
