# SPDX-License-Identifier: Apache-2.0
"""Images to classify by the frequency and direction of a texture, where folding turns one class into another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torchvision import tv_tensors

from ._drawing import Array, smooth_field
from .classified import ClassifiedSample

_SMALLEST = 32
_BACKGROUND_CELLS = 3


@dataclass(frozen=True)
class TextureBand:
    """A class of textures: a band of spatial frequencies around one direction.

    Args:
        name: of the class.
        low: lowest frequency, cycles per pixel.
        high: highest frequency, cycles per pixel, at most 0.5.
        direction: in which the texture varies: 0 along rows (stripes are upright), 90 along columns; degrees.
        spread: largest deviation from the direction, degrees.

    Raises:
        ValueError: frequencies out of range.
    """

    name: str
    low: float
    high: float
    direction: float
    spread: float = 12.0

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high <= 0.5:
            raise ValueError(f"band {self.name!r} needs 0 < low < high <= 0.5, got {self.low} and {self.high}")


_FREQUENCIES = {"coarse": (0.07, 0.11), "medium": (0.17, 0.21), "fine": (0.29, 0.33), "finest": (0.39, 0.43)}

TEXTURES = tuple(
    TextureBand(f"{name} {way}", low, high, direction)
    for name, (low, high) in _FREQUENCIES.items()
    for way, direction in (("across", 0.0), ("down", 90.0))
)
"""Two pairs of bands in two directions. A step of 2 without a filter folds fine onto medium, and finest onto coarse."""


@dataclass(frozen=True)
class TextureStyle:
    """Ranges of what an image is made of; values of images are 0 to 1.

    Args:
        contrast: standard deviation of the texture.
        diameter: of the round area that it covers, as a share of the shorter side.
        background: largest change of the slowly varying colours behind it, which say nothing about the class.
        noise: standard deviation of white noise.
    """

    contrast: tuple[float, float] = (0.04, 0.1)
    diameter: tuple[float, float] = (0.5, 0.9)
    background: float = 0.3
    noise: float = 0.04


_STYLE = TextureStyle()


class TextureFrequencies:
    """Generated images of one texture each, in front of a background that is stronger than it.

    The texture is noise limited to the band of its class, in a round area with soft edges somewhere in the image and of
    a random colour. The background is bilinear between 4 x 4 random colours. Mean colours tell nothing: only frequency
    and direction do. Classes take turns; an image depends on (seed, index, size, bands, style) only.

    Args:
        length: number of images.
        size: (height, width), at least 32 each.
        bands: one per class; ``None``: :data:`TEXTURES`, of which pairs fold onto each other.
        seed: not negative; data sets of different seeds share no image.
        style: what images are made of.

    Raises:
        ValueError: ``length`` or ``seed`` is negative, ``size`` too small, there is no band, or one in which an image
            of this size has no frequency.

    >>> textures = TextureFrequencies(10, size=(32, 48))
    >>> sample = textures[9]
    >>> tuple(sample["image"].shape), textures.classes[sample["label"]]
    ((3, 32, 48), 'coarse down')
    """

    def __init__(
        self,
        length: int,
        size: tuple[int, int] = (64, 64),
        bands: Sequence[TextureBand] | None = None,
        seed: int = 0,
        style: TextureStyle = _STYLE,
    ) -> None:
        if length < 0 or seed < 0:
            raise ValueError(f"length and seed must not be negative, got {length} and {seed}")
        if min(size) < _SMALLEST:
            raise ValueError(f"size must be at least {_SMALLEST}x{_SMALLEST}, got {tuple(size)}")
        self.bands = TEXTURES if bands is None else tuple(bands)
        if not self.bands:
            raise ValueError("bands must name at least one class")
        self.length, self.size, self.seed, self.style = length, (int(size[0]), int(size[1])), seed, style
        self.classes: tuple[str, ...] = tuple(band.name for band in self.bands)
        self._passed = [_passed(band, self.size) for band in self.bands]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> ClassifiedSample:
        if not 0 <= index < self.length:
            raise IndexError(f"texture {index} of {self.length}")
        label = index % len(self.bands)
        image = self._paint(np.random.default_rng([self.seed, index]), self._passed[label])
        pixels = torch.from_numpy((image.clip(0, 1) * 255 + 0.5).astype(np.uint8))
        name = f"texture_{self.seed}_{index:06d}"
        return {"image": tv_tensors.Image(pixels.permute(2, 0, 1).contiguous()), "label": label, "name": name}

    def _paint(self, rng: np.random.Generator, passed: Array) -> Array:
        style = self.style
        image = 0.5 + style.background * smooth_field(rng, self.size, _BACKGROUND_CELLS)
        texture = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(self.size)) * passed, s=self.size)
        strength = rng.uniform(*style.contrast) * self._area(rng) / texture.std()
        image += (strength * texture)[..., None] * rng.uniform(0.7, 1.3, 3)
        return image + style.noise * rng.standard_normal((*self.size, 3))

    def _area(self, rng: np.random.Generator) -> Array:
        """A disc [H, W], 1 inside and 0 outside; its edge is a quarter of its radius wide."""
        radius = rng.uniform(*self.style.diameter) * min(self.size) / 2
        centre = [rng.uniform(min(radius, side / 2), max(side - radius, side / 2)) for side in self.size]
        y, x = (np.arange(side) + 0.5 - middle for side, middle in zip(self.size, centre, strict=True))
        ramp = ((radius - np.hypot(y[:, None], x)) * (4 / radius)).clip(0, 1)
        return 0.5 - 0.5 * np.cos(math.pi * ramp)


def _passed(band: TextureBand, size: tuple[int, int]) -> Array:
    """Which frequencies of a real transform [H, W // 2 + 1] are in the band, 0 or 1."""
    fy, fx = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None, :]
    frequency = np.hypot(fy, fx)
    deviation = (np.degrees(np.arctan2(fy, fx)) - band.direction + 90) % 180 - 90
    passed = (frequency >= band.low) & (frequency <= band.high) & (abs(deviation) <= band.spread)
    if not passed.any():
        raise ValueError(f"images of {size[0]}x{size[1]} have no frequency in the band {band}")
    return passed.astype(np.float64)
