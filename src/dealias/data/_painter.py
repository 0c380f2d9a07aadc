# SPDX-License-Identifier: Apache-2.0
"""Paint one synthetic scene, from back to front, all choices drawn from one generator."""

from __future__ import annotations

import math

import numpy as np

from ._drawing import (
    Array,
    Canvas,
    Patch,
    bar,
    checker,
    comb,
    grating,
    inside,
    polygon_distance,
    sagging_line,
    smooth_field,
    wobbly_disc,
)
from ._style import CLASSES, SceneStyle

_REFERENCE_AREA = 128 * 128
_TEXTURES = ("coarse stripes", "medium stripes", "fine stripes", "checker")
_SIGN_COLOURS = np.array([[0.8, 0.1, 0.1], [0.1, 0.25, 0.75], [0.9, 0.75, 0.05], [0.05, 0.5, 0.25]], np.float32)
_SIGN_SIDES = (0, 3, 4, 8)
_SIGN_RIM = 0.2


class Painter:
    """Paints on its :attr:`canvas` and keeps what it painted in :attr:`objects`.

    Args:
        rng: source of every choice.
        size: (height, width) of the picture.
        style: ranges of the choices.
    """

    def __init__(self, rng: np.random.Generator, size: tuple[int, int], style: SceneStyle) -> None:
        self.rng, self.size, self.style = rng, size, style
        self.canvas = Canvas(size, self._background())
        self.objects: list[tuple[int, float]] = []
        """(label, width in pixels) of instances 1, 2, ..."""

    def paint(self) -> Array:
        """Paint everything and return the lit, noisy picture: uint8 [H, W, 3]."""
        style = self.style
        for kind in self._texture_kinds(self._number(style.textures)):
            self.texture(kind)
        for number, paint_one in (
            (style.blobs, self.blob),
            (style.fences, self.fence),
            (style.poles, self.pole),
            (style.wires, self.wire),
            (style.signs, self.sign),
        ):
            for _ in range(self._number(number)):
                paint_one()
        return self._photograph()

    def texture(self, kind: str) -> None:
        """Paint a region of stripes or checker."""
        radius = self._uniform(0.15, 0.29) * min(128, *self.size)
        wobble = (self._uniform(-0.18, 0.18), self._uniform(-0.12, 0.12))
        patch = self._patch((2.7 * radius, 2.7 * radius))
        area = inside((1 - wobbly_disc(patch, radius, wobble)) * radius)
        if kind == "checker":
            period = self._uniform(*self.style.checker_cell) / self.style.frequency
            wave = checker(patch, period, (self._angle(), self._angle()))
        else:
            ranges = {
                "coarse stripes": self.style.coarse_period,
                "medium stripes": self.style.medium_period,
                "fine stripes": self.style.fine_period,
            }
            period = self._uniform(*ranges[kind]) / self.style.frequency
            wave = grating(patch.u, period, self._angle())
        mean = self._colour(0.3, 0.7)
        contrast = self._uniform(0.14, 0.26) * self._colour(0.7, 1.3)
        self.canvas.paint(patch, mean + wave[..., None] * contrast, area)
        self._label(patch, area, kind, period)

    def blob(self) -> None:
        """Paint a lit, saturated ball with a few lobes."""
        diameter = min(self._uniform(*self.style.blob_size), min(self.size) / 2)
        patch = self._patch((1.4 * diameter, 1.4 * diameter))
        rho = wobbly_disc(patch, diameter / 2, (self._uniform(-0.12, 0.12), self._uniform(-0.08, 0.08)))
        area = inside((1 - rho) * (diameter / 2))
        height = np.sqrt(np.maximum(0, 1 - rho**2))
        light = 0.45 + 0.35 * height + 0.5 / diameter * (patch.u + patch.v)
        hue = self.rng.permutation(np.array([0.95, 0.2 + 0.5 * self.rng.random(), 0.15], np.float32))
        self.canvas.paint(patch, light[..., None] * hue, area)
        self._label(patch, area, "blob", diameter)

    def fence(self) -> None:
        """Paint bars with two rails, in front of what is there; the gaps are fence too."""
        length, height = self._uniform(36, 72), self._uniform(14, 26)
        width = self._uniform(*self.style.fence_bar) * self.style.thickness
        period = self._uniform(*self.style.fence_period) / self.style.frequency
        patch = self._patch((length, height), angle=self._uniform(-0.6, 0.6))
        area = bar(patch, length, height)
        rails = inside(width / 2 - np.abs(np.abs(patch.v) - 0.3 * height))
        bars = comb(patch.u, period, width, self._uniform(0, period))
        self.canvas.paint(patch, self._dark_or_light(), area * np.maximum(bars, rails))
        self._label(patch, area, "fence", width)

    def pole(self) -> None:
        """Paint a straight pole in any direction."""
        width = self._choice(self.style.pole_widths) * self.style.thickness
        length = self._uniform(0.3, 0.9) * min(128, *self.size)
        patch = self._patch((length, width), angle=self._angle())
        area = bar(patch, length, width)
        self.canvas.paint(patch, self._dark_or_light(), area)
        self._label(patch, area, "pole", width)

    def wire(self) -> None:
        """Paint a sagging wire from side to side."""
        width = self._choice(self.style.wire_widths) * self.style.thickness
        length, sag = 1.3 * self.size[1], self._uniform(0.02, 0.1) * self.size[1]
        centre = (self._uniform(0, self.size[0] - sag), self.size[1] / 2)
        patch = self.canvas.patch(centre, (length, 2 * sag + width), self._uniform(-0.3, 0.3))
        area = sagging_line(patch, length, sag, width)
        self.canvas.paint(patch, self._dark_or_light(), area)
        self._label(patch, area, "pole", width)

    def sign(self) -> None:
        """Paint a small saturated sign with a white rim."""
        diameter = self._uniform(*self.style.sign_size) * self.style.thickness
        patch = self._patch((1.6 * diameter, 1.6 * diameter))
        distance = polygon_distance(patch, diameter, int(self._choice(_SIGN_SIDES)))
        area = inside(distance)
        face = _SIGN_COLOURS[self.rng.integers(len(_SIGN_COLOURS))]
        self.canvas.paint(patch, np.full(3, 0.95, np.float32), area)
        self.canvas.paint(patch, face, inside(distance - _SIGN_RIM * diameter / 2))
        self._label(patch, area, "sign", diameter)

    def _background(self) -> Array:
        """A plain, slowly varying, nearly gray ground."""
        gray = self._uniform(0.35, 0.65)
        return gray + self._colour(-0.06, 0.06) + 0.06 * smooth_field(self.rng, self.size, 4)

    def _photograph(self) -> Array:
        height, width = self.size
        direction = self._angle()
        cos, sin = math.cos(direction), math.sin(direction)
        y, x = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
        slope = self.style.illumination / (abs(cos) + abs(sin))
        light = 1 + slope * (sin * y[:, None] + cos * x[None, :])
        noise = self.rng.standard_normal((height, width, 3), dtype=np.float32)
        noise *= self.style.noise
        noise += self.canvas.image * light[..., None]
        return (np.clip(noise, 0, 1, out=noise) * 255 + 0.5).astype(np.uint8)

    def _label(self, patch: Patch, area: Array, kind: str, width: float) -> None:
        label = CLASSES.index(kind)
        self.objects.append((label, float(width)))
        self.canvas.label(patch, area, label, len(self.objects))

    def _patch(self, extent: tuple[float, float], angle: float | None = None) -> Patch:
        centre = (self._uniform(0, self.size[0]), self._uniform(0, self.size[1]))
        return self.canvas.patch(centre, extent, self._angle() if angle is None else angle)

    def _number(self, limits: tuple[int, int]) -> int:
        """Draw a number; numbers scale with the area, and fractions are rounded up as often as they say."""
        scale = self.size[0] * self.size[1] / _REFERENCE_AREA
        return int(self.rng.integers(limits[0], limits[1] + 1) * scale + self.rng.random())

    def _texture_kinds(self, number: int) -> list[str]:
        """Kinds in random order, each once before any comes twice."""
        rounds = [self.rng.permutation(_TEXTURES).tolist() for _ in range(-(-number // len(_TEXTURES)))]
        return [kind for kinds in rounds for kind in kinds][:number]

    def _uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.rng.random()

    def _choice(self, options: tuple[float, ...]) -> float:
        return options[self.rng.integers(len(options))]

    def _angle(self) -> float:
        return self._uniform(0, 2 * math.pi)

    def _colour(self, low: float, high: float) -> Array:
        return self.rng.uniform(low, high, 3).astype(np.float32)

    def _dark_or_light(self) -> Array:
        """A nearly gray colour that stands out from the ground."""
        return self._colour(0.02, 0.18) if self.rng.random() < 0.5 else self._colour(0.82, 0.98)
