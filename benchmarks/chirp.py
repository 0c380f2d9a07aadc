# SPDX-License-Identifier: Apache-2.0
"""The chirp experiment: fine waves through a 2x2 average pooling and back, with and without a warp (arXiv:2507.11893).

Two patches of waves too fine for the pooled grid lie on a smooth background. A warp that crowds samples at them makes
them coarser before the pooling; its exact inverse puts them back after it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from dealias.analysis import aliasing_score
from dealias.ops import low_pass
from dealias.ops.warp import Warp, demodulate, saliency_map

SIZE = 128
SIGMAS = (4.0, 6.0, 12.0)

CUTOFF = 0.25
"""Cycles per sample: the highest frequency that every second sample can hold."""

PATCHES = (((40, 40), (0.36, 0.0)), ((88, 88), (0.0, 0.33)))
"""Centre and frequency of the waves in each, (x, y), pixels and cycles per sample."""

PATCH_SIGMA = 6.0
"""Of a patch's Gaussian envelope, pixels."""

PATCH_AMPLITUDE, BACKGROUND_AMPLITUDE = 0.52, 0.1345
"""Chosen so that 0.171 of the power is above the cutoff, and 27.3 dB are left by the pooling without a warp."""

FLOOR, GAIN = 0.05, 5.0
"""Saliency where nothing is fine, and by how many means of the local high-pass energy it rises above."""

ENERGY_SIGMA = 1.5
"""Of the Gaussian that averages the high-pass energy, pixels: the ripple within a wave goes, its place stays."""


def chirp_image() -> Tensor:
    """The image, [1, 1, SIZE, SIZE] float32, values about -0.6 to 0.6 with mean 0: one slow wave along each axis."""
    y, x = torch.meshgrid(*(torch.arange(SIZE, dtype=torch.float64),) * 2, indexing="ij")
    slow = torch.cos(2 * math.pi * x / SIZE + 0.6) + torch.cos(2 * math.pi * y / SIZE + 1.1)
    image = BACKGROUND_AMPLITUDE / math.sqrt(2) * slow
    for (centre_x, centre_y), (frequency_x, frequency_y) in PATCHES:
        across, down = x - centre_x, y - centre_y
        envelope = torch.exp(-(across.square() + down.square()) / (2 * PATCH_SIGMA**2))
        image += PATCH_AMPLITUDE * envelope * torch.cos(2 * math.pi * (frequency_x * across + frequency_y * down))
    return (image - image.mean()).float()[None, None]


def saliency(image: Tensor) -> Tensor:
    """S = 0.05 + 5 e, over its mean; e is the local energy above the cutoff over its mean: as the image, mean 1."""
    reach = math.ceil(4 * ENERGY_SIGMA)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1.0) / ENERGY_SIGMA) ** 2)
    energy = F.pad((image - low_pass(image, CUTOFF)).square(), (reach,) * 4, mode="reflect")
    local = F.conv2d(F.conv2d(energy, taps.view(1, 1, 1, -1)), taps.view(1, 1, -1, 1))
    salient = FLOOR + GAIN * local / local.mean()
    return salient / salient.mean()


@dataclass(frozen=True)
class RoundTrip:
    """An image that was pooled and brought back; ``modulated`` is what was pooled, on the grid of ``warp`` if any."""

    image: Tensor
    modulated: Tensor
    pooled: Tensor
    restored: Tensor
    warp: Warp | None = None

    @cached_property
    def aliasing(self) -> float:
        """Share of the power above the cutoff just before the pooling."""
        return aliasing_score(self.modulated, CUTOFF).item()

    @cached_property
    def psnr(self) -> float:
        """Of the restored image, dB, for a peak of 1."""
        return -10 * math.log10((self.restored - self.image).square().mean().item())


def round_trip(image: Tensor, sigma: float | None = None, method: str = "mesh") -> RoundTrip:
    """Pool 2x2 and bring back by bilinear sampling; with ``sigma``, on a warped grid and through its inverse."""
    warp = None if sigma is None else Warp(saliency_map(saliency(image), sigma=sigma), (SIZE, SIZE))
    modulated = image if warp is None else warp.apply(image)
    pooled = F.avg_pool2d(modulated, 2)
    restored = demodulate(pooled, [] if warp is None else [warp], (SIZE, SIZE), method)
    return RoundTrip(image, modulated, pooled, restored, warp)


def three_warps(image: Tensor, sigma: float) -> list[Warp]:
    """Warps in a row, each from the saliency of what the one before left."""
    warps: list[Warp] = []
    for _ in range(3):
        warps.append(Warp(saliency_map(saliency(image), sigma=sigma), (SIZE, SIZE)))
        image = warps[-1].apply(image)
    return warps


def inverse_error(warps: Sequence[Warp], method: str) -> float:
    """Largest distance, pixels, of any pixel from where the warps look at the places found for it.

    Between their pixels the maps are what ``method`` inverts: linear on triangles, or bilinear.
    """
    y, x = torch.meshgrid(*(torch.arange(SIZE, dtype=torch.float32),) * 2, indexing="ij")
    pixels = torch.stack([x, y])[None]
    points = pixels
    for warp in warps:
        points = warp.locate(points, method)
    for warp in reversed(warps):
        points = _on_triangles(warp.map, points) if method == "mesh" else _bilinear(warp.map, points)
    return (points - pixels).norm(dim=1).max().item()


def _corners(map: Tensor, points: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    """Values at the corners of the cells around points, and the place of each point in its cell, [1, 1, h, w] each."""
    height, width = map.shape[2:]
    column, row = points[:, 0].floor().clamp(0, width - 2), points[:, 1].floor().clamp(0, height - 2)
    first = (row * width + column).long()[0]
    corners = [map.flatten(2)[:, :, first + step] for step in (0, 1, width, width + 1)]
    return corners, (points[:, 0] - column)[:, None], (points[:, 1] - row)[:, None]


def _bilinear(map: Tensor, points: Tensor) -> Tensor:
    (first, right, below, last), across, down = _corners(map, points)
    return torch.lerp(torch.lerp(first, right, across), torch.lerp(below, last, across), down)


def _on_triangles(map: Tensor, points: Tensor) -> Tensor:
    (first, right, below, last), across, down = _corners(map, points)
    upper = first + across * (right - first) + down * (below - first)
    lower = last + (1 - across) * (below - last) + (1 - down) * (right - last)
    return torch.where(across + down <= 1, upper, lower)
