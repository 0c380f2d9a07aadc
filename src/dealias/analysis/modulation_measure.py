# SPDX-License-Identifier: Apache-2.0
"""Numbers of a modulated stage: measured on a few images at a time, kept as a row per image, summarised."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dealias.ops.label_edges import check_width, dilate, label_edges
from dealias.ops.spectrum import low_pass
from dealias.ops.warp import Warp

from .modulation import RoundTrip, compose_warps, round_trip, sampling_density
from .score import share_above
from .spectra import power_shares, resampled_rings, ring_frequencies

BINS = 32
"""Rings of the radial spectra."""

MAPS = ("before", "modulated", "demodulated", "plain")
"""Maps whose spectra are taken, as :class:`dealias.analysis.RoundTrip` calls them."""

RESTORED = ("demodulated", "plain")
"""Those that went through the stride and back."""


@dataclass(frozen=True)
class Spread:
    """A quantity over images.

    Attributes:
        mean: over the images, nan without any.
        std: standard deviation over the images (n - 1), nan for a single one.
        images: how many they are; where the quantity is not defined for an image, it is not among them.
    """

    mean: float
    std: float
    images: int


@dataclass(frozen=True)
class StageModulation:
    """What a modulation did to the maps that arrived at a stage.

    Attributes:
        name: of the modulation in the network.
        stride: of the stage.
        channels: of its input.
        size: height and width of its input, of the last image.
        nyquist: the highest frequency that the stride keeps, ``0.5 / stride``, cycles per sample.
        images: how many passed.
        frequencies: middles of the rings of the spectra, cycles per sample.
        spectra: by map in :data:`MAPS`, the share of each ring in the power, mean over the images.
        spectra_std: standard deviation of that over the images.
        aliasing: by map in :data:`MAPS`, the share of its power above ``nyquist``, see
            :func:`dealias.analysis.aliasing_score`.
        lost: by map in :data:`RESTORED`, its squared difference to the map before as a share of the variance of that,
            channels added: 0 if the way through the stride and back changes nothing.
        detail: by map in :data:`RESTORED`, how much of what the map before has above ``nyquist`` is there again: 1 less
            the same share for the details of both maps. Power above ``nyquist`` that is false, as what folded leaves
            behind when it is brought back, counts against it, so that it may be negative.
        displacement: the largest distance in pixels of the input that a sample is moved by.
        flips: triangles of the mesh that lie the wrong way round.
        density: how densely samples lie along the boundaries of labels, relative to the mean of the image, all warps
            up to the stage together; of no image without labels.
        correlation: Pearson's r of the density of a pixel with whether it lies along a boundary, likewise.
    """

    name: str
    stride: int
    channels: int
    size: tuple[int, int]
    nyquist: float
    images: int
    frequencies: Sequence[float]
    spectra: Mapping[str, Sequence[float]]
    spectra_std: Mapping[str, Sequence[float]]
    aliasing: Mapping[str, Spread]
    lost: Mapping[str, Spread]
    detail: Mapping[str, Spread]
    displacement: Spread
    flips: Spread
    density: Spread
    correlation: Spread


@dataclass(frozen=True)
class BoundaryRule:
    """What lies along a boundary between labels.

    Boundary pixels have one of their four neighbours in another class, and are widened by a square. Pixels that are
    ignored, or along a boundary only because of an ignored one, are left out.

    Attributes:
        ignore_index: label of pixels without ground truth.
        band: side of the square in pixels, odd; 5 as in the loss that draws attention to boundaries.
    """

    ignore_index: int = 255
    band: int = 5

    def __post_init__(self) -> None:
        check_width(self.band)

    def divide(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Which pixels of labels [B, H, W] lie along a boundary, and which count, both [B, H, W], bool.

        Raises:
            ValueError: shape or type of the labels.
        """
        if labels.ndim != 3 or labels.is_floating_point():
            raise ValueError(f"labels must be integers [B, H, W], got {labels.dtype} {tuple(labels.shape)}")
        return dilate(label_edges(labels), self.band), ~dilate(labels == self.ignore_index, self.band + 2)


@dataclass
class StageTotals:
    """What is kept of a stage: some numbers per image."""

    name: str
    stride: int
    channels: int = 0
    size: tuple[int, int] = (0, 0)
    numbers: list[Tensor] = field(default_factory=list)
    spectra: list[Tensor] = field(default_factory=list)

    def add(self, x: Tensor, warps: Sequence[Warp], divided: tuple[Tensor, Tensor] | None) -> None:
        """Measure a stage.

        Args:
            x: its input before the modulation, [B, C, H, W].
            warps: of this stage and of those before it, that one last.
            divided: what lies along boundaries and what counts, see :meth:`BoundaryRule.divide`, if known.
        """
        trip = round_trip(x, warps[-1], self.stride)
        shares = [power_shares(getattr(trip, name)) for name in MAPS]
        columns = [share_above(of, 0.5 / self.stride) for of in shares]
        columns += [_lost(trip.before, getattr(trip, name)) for name in RESTORED]
        columns += [1 - of for of in _lost_details(trip, 0.5 / self.stride)]
        columns += [_displacement(warps[-1]), warps[-1].flips()]
        columns += along_boundaries(compose_warps(warps), *divided) if divided else [columns[0] * torch.nan] * 2
        self.numbers.append(torch.stack([column.double() for column in columns], 1).cpu())
        self.spectra.append(torch.stack([resampled_rings(of, BINS) for of in shares], 1).cpu())
        self.channels, self.size = x.shape[1], (x.shape[2], x.shape[3])

    def summary(self) -> StageModulation:
        """What was measured."""
        spreads = [spread(column) for column in torch.cat(self.numbers).unbind(1)]
        spectra = torch.cat(self.spectra)
        scattered = spectra.std(0) if len(spectra) > 1 else torch.full_like(spectra[0], torch.nan)
        aliasing, lost, detail, rest = spreads[:4], spreads[4:6], spreads[6:8], spreads[8:]
        return StageModulation(
            self.name,
            self.stride,
            self.channels,
            self.size,
            0.5 / self.stride,
            len(spectra),
            ring_frequencies(BINS).tolist(),
            dict(zip(MAPS, spectra.mean(0).tolist(), strict=True)),
            dict(zip(MAPS, scattered.tolist(), strict=True)),
            dict(zip(MAPS, aliasing, strict=True)),
            dict(zip(RESTORED, lost, strict=True)),
            dict(zip(RESTORED, detail, strict=True)),
            *rest,
        )


def along_boundaries(warp: Warp, boundary: Tensor, counts: Tensor) -> list[Tensor]:
    """How densely a warp samples boundaries.

    Args:
        warp: from the image, at any resolution.
        boundary: which pixels of labels lie along one, [B, h, w], bool.
        counts: which pixels count; of these, those that the samples enclose are looked at.

    Returns:
        The mean density along boundaries over the mean density, and the correlation of both, [B] each; nan for an image
        without both kinds of pixels, the latter also where the density is the same everywhere.
    """
    density = sampling_density(warp, (boundary.shape[1], boundary.shape[2])).double()
    looked_at = density.isfinite() & counts.to(density.device)
    values = density.where(looked_at, 0)
    marked = (boundary.to(density.device) & looked_at).double()
    count, on = (of.sum((1, 2)).where(of.sum((1, 2)) > 0, torch.nan) for of in (looked_at.double(), marked))
    mean, share = values.sum((1, 2)) / count, on / count
    ratio = (values * marked).sum((1, 2)) / on / mean
    off = (values - mean[:, None, None]).where(looked_at, 0)
    deviation = (off.square().sum((1, 2)) / count).sqrt()
    # of a density that is the same everywhere, rounding is left
    deviation = deviation.where(deviation > 1e-5 * mean, torch.nan)
    correlation = (off * marked).sum((1, 2)) / count / (deviation * (share * (1 - share)).sqrt())
    return [ratio.where(share < 1, torch.nan), correlation.where(share < 1, torch.nan)]


def spread(values: Tensor) -> Spread:
    """Mean and standard deviation of numbers [N], those that are not finite left out."""
    known = values[values.isfinite()].double()
    if not len(known):
        return Spread(math.nan, math.nan, 0)
    return Spread(known.mean().item(), known.std().item() if len(known) > 1 else math.nan, len(known))


def _lost(before: Tensor, after: Tensor) -> Tensor:
    """Squared difference as a share of the variance, channels added, [B]; nan for a map that is constant."""
    varying = (before - before.mean((2, 3), keepdim=True)).double().square().sum((1, 2, 3))
    return (after - before).double().square().sum((1, 2, 3)) / varying


def _lost_details(trip: RoundTrip, cutoff: float) -> list[Tensor]:
    """The same of what is above a frequency, for the maps in :data:`RESTORED`."""
    before, *restored = (x - low_pass(x, cutoff) for x in (trip.before, *(getattr(trip, name) for name in RESTORED)))
    return [_lost(before, of) for of in restored]


def _displacement(warp: Warp) -> Tensor:
    height, width = warp.grid_size
    x = torch.arange(width, dtype=warp.map.dtype, device=warp.map.device)
    y = torch.arange(height, dtype=warp.map.dtype, device=warp.map.device)[:, None]
    return torch.stack([warp.map[:, 0] - x, warp.map[:, 1] - y], 1).norm(dim=1).amax((1, 2))
