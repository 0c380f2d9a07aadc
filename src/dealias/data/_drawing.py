# SPDX-License-Identifier: Apache-2.0
"""Antialiased drawing on image, labels and instances at once.

Shapes are numbers per pixel in a patch, the part of the picture that a shape can touch: coverage 0 to 1 for the
image, of which one half or more makes the label. Distances to edges are in pixels, so an edge is a ramp of one pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Patch:
    """Part of a picture, with the coordinates of its pixel centres.

    Attributes:
        window: rows and columns.
        u: along the shape's own axis, [h, w], in pixels from its centre.
        v: across the axis, likewise.
    """

    window: tuple[slice, slice]
    u: Array
    v: Array


class Canvas:
    """A picture being painted from back to front.

    Attributes:
        image: float32, [H, W, 3], 0 to 1.
        labels: uint8, [H, W].
        instances: int32, [H, W]; 0: none.
    """

    def __init__(self, size: tuple[int, int], background: Array) -> None:
        self.image = np.empty((*size, 3), np.float32)
        self.image[:] = background
        self.labels = np.zeros(size, np.uint8)
        self.instances = np.zeros(size, np.int32)

    def patch(self, centre: tuple[float, float], extent: tuple[float, float], angle: float = 0.0) -> Patch:
        """Pixels that a shape can touch.

        Args:
            centre: (row, column).
            extent: size along u and along v.
            angle: of u from the row's direction, in radians.
        """
        cos, sin = math.cos(angle), math.sin(angle)
        reach = (
            (extent[0] * abs(sin) + extent[1] * abs(cos)) / 2 + 1,
            (extent[0] * abs(cos) + extent[1] * abs(sin)) / 2 + 1,
        )
        (top, bottom), (left, right) = (
            (max(0, math.floor(middle - far)), min(side, math.ceil(middle + far)))
            for middle, far, side in zip(centre, reach, self.labels.shape, strict=True)
        )
        y = np.arange(top, bottom, dtype=np.float32)[:, None] + (0.5 - centre[0])
        x = np.arange(left, right, dtype=np.float32)[None, :] + (0.5 - centre[1])
        u = cos * x + sin * y
        v = cos * y - sin * x
        return Patch((slice(top, bottom), slice(left, right)), u, v)

    def paint(self, patch: Patch, colour: Array, coverage: Array) -> None:
        """Blend ``colour``, [3] or [h, w, 3], over the image by ``coverage`` [h, w]."""
        pixels = self.image[patch.window]
        pixels += coverage[..., None] * (colour - pixels)

    def label(self, patch: Patch, coverage: Array, label: int, instance: int) -> None:
        """Give the pixels that ``coverage`` [h, w] fills by half or more to a class and an instance."""
        owned = coverage >= 0.5
        self.labels[patch.window][owned] = label
        self.instances[patch.window][owned] = instance


def inside(distance: Array) -> Array:
    """Coverage from the signed distance to an edge, positive inside."""
    return np.clip(distance + 0.5, 0, 1)


def bar(patch: Patch, length: float, width: float) -> Array:
    """Coverage of a rectangle: ``length`` along u, ``width`` along v."""
    return inside(length / 2 - np.abs(patch.u)) * inside(width / 2 - np.abs(patch.v))


def sagging_line(patch: Patch, length: float, sag: float, width: float) -> Array:
    """Coverage of a parabola that hangs ``sag`` deep between its ends, ``length`` apart."""
    relative = patch.u * (2 / length)
    slope = (4 * sag / length) * relative
    across = np.abs(patch.v - sag * (1 - relative**2)) / np.sqrt(1 + slope**2)
    return inside(width / 2 - across) * inside(length / 2 - np.abs(patch.u))


def grating(u: Array, period: float, phase: float) -> Array:
    """A sine along u, -1 to 1."""
    return np.sin(u * (2 * math.pi / period) + phase)


def checker(patch: Patch, cell: float, phases: tuple[float, float]) -> Array:
    """Squares of side ``cell``, -1 and 1, with soft edges."""
    waves = grating(patch.u, 2 * cell, phases[0]) * grating(patch.v, 2 * cell, phases[1])
    return np.clip(2 * waves, -1, 1)


def comb(u: Array, period: float, width: float, phase: float) -> Array:
    """Coverage of bars ``width`` wide that repeat along u."""
    offset = np.abs((u + phase) % period - period / 2)
    return inside(width / 2 - offset)


def wobbly_disc(patch: Patch, radius: float, wobble: tuple[float, float]) -> Array:
    """Radius relative to the outline, 1 on it, of a disc with two and three lobes of the given relative heights."""
    distance = np.sqrt(patch.u * patch.u + patch.v * patch.v) + 1e-6
    cos = patch.u / distance
    squared = cos * cos
    lobes = wobble[0] * (2 * squared - 1) + wobble[1] * cos * (4 * squared - 3)
    return distance / (radius * (1 + lobes))


def polygon_distance(patch: Patch, diameter: float, sides: int) -> Array:
    """Signed distance, positive inside, to a regular polygon with the area of a disc; 0 sides: the disc itself."""
    if sides == 0:
        return diameter / 2 - np.sqrt(patch.u * patch.u + patch.v * patch.v)
    inradius = diameter / 2 * math.sqrt(math.pi / (sides * math.tan(math.pi / sides)))
    angles = [2 * math.pi * i / sides for i in range(sides)]
    nearest = [patch.u * math.cos(a) + patch.v * math.sin(a) for a in angles]
    return inradius - np.maximum.reduce(nearest)


def smooth_field(rng: np.random.Generator, size: tuple[int, int], cells: int) -> Array:
    """A random field [H, W, 3], bilinear between ``cells`` + 1 nodes of -1 to 1 each way."""
    nodes = rng.uniform(-1, 1, (cells + 1, cells + 1, 3)).astype(np.float32)
    rows, columns = (_tents(side, cells) for side in size)
    return np.einsum("yi,ijc,xj->yxc", rows, nodes, columns, optimize=["einsum_path", (0, 1), (0, 1)])


def _tents(side: int, cells: int) -> Array:
    """Weights [side, cells + 1] of linear interpolation."""
    position = (np.arange(side, dtype=np.float32) + 0.5) * (cells / side)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(cells + 1, dtype=np.float32)))
