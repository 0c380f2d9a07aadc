# SPDX-License-Identifier: Apache-2.0
"""What synthetic scenes contain: classes, colours, and the ranges that sizes, periods and numbers are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, fields

Range = tuple[float, float]

CLASS_COLOURS = {
    "background": (70, 70, 70),
    "coarse stripes": (0, 68, 136),
    "medium stripes": (51, 149, 212),
    "fine stripes": (160, 216, 239),
    "checker": (0, 158, 115),
    "blob": (148, 82, 160),
    "fence": (230, 159, 0),
    "pole": (213, 64, 24),
    "sign": (246, 232, 84),
}
"""Classes in the order of their ids. Hues differ for dichromats too; stripes are one hue, lighter the finer."""

CLASSES = tuple(CLASS_COLOURS)
THINGS = ("blob", "fence", "pole", "sign")
"""Classes that are counted; the others are stuff."""


@dataclass(frozen=True)
class SceneStyle:
    """Knobs of :class:`dealias.data.SyntheticScenes`.

    Lengths are in pixels; pairs are (smallest, largest), drawn from uniformly.

    Args:
        coarse_period: of coarse stripes.
        medium_period: of medium stripes.
        fine_period: of fine stripes.
        checker_cell: side of a checker's square.
        fence_period: distance of a fence's bars.
        fence_bar: width of a fence's bars.
        pole_widths: widths of poles, each equally likely.
        wire_widths: widths of wires, which hang through the whole picture and are of class pole.
        sign_size: diameter of a disc with the sign's area.
        blob_size: diameter.
        textures: number of striped and checked regions per 128x128 pixels; so are all numbers.
        fences: number of fences.
        poles: number of poles.
        wires: number of wires.
        blobs: number of blobs.
        signs: number of signs.
        frequency: factor on the frequency of stripes, checkers and fences.
        thickness: factor on the widths of poles, wires and fence bars and on the size of signs.
        illumination: largest relative change of light, a gradient over the picture.
        noise: standard deviation of white noise, on the scale 0 to 1.
        ignore_border: width of an ignored border on either side of every class boundary; it covers what is thinner.

    Raises:
        ValueError: an empty or negative range, or stripes above the Nyquist frequency (a period below 2 pixels).
    """

    coarse_period: Range = (9.0, 14.0)
    medium_period: Range = (5.5, 8.0)
    fine_period: Range = (3.0, 5.0)
    checker_cell: Range = (4.0, 7.0)
    fence_period: Range = (6.0, 10.0)
    fence_bar: Range = (1.0, 2.0)
    pole_widths: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0)
    wire_widths: tuple[float, ...] = (1.0, 2.0)
    sign_size: Range = (5.0, 13.0)
    blob_size: Range = (16.0, 30.0)
    textures: tuple[int, int] = (3, 5)
    fences: tuple[int, int] = (1, 2)
    poles: tuple[int, int] = (3, 5)
    wires: tuple[int, int] = (0, 1)
    blobs: tuple[int, int] = (1, 2)
    signs: tuple[int, int] = (6, 12)
    frequency: float = 1.0
    thickness: float = 1.0
    illumination: float = 0.25
    noise: float = 0.04
    ignore_border: int = 0

    def __post_init__(self) -> None:
        for name in ("illumination", "noise", "ignore_border"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.frequency <= 0 or self.thickness <= 0:
            raise ValueError(f"frequency and thickness must be positive, got {self.frequency} and {self.thickness}")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                self._check_range(field.name, value)
        for name, value in (("fine_period", self.fine_period), ("checker_cell", self.checker_cell)):
            if value[0] / self.frequency < 2:
                raise ValueError(f"{name} / frequency must be at least 2 pixels, got {value[0]} / {self.frequency}")

    @staticmethod
    def _check_range(name: str, value: tuple[float, ...]) -> None:
        if name.endswith("widths"):
            if not value or min(value) <= 0:
                raise ValueError(f"{name} must be positive widths, got {value}")
        elif len(value) != 2 or not 0 <= value[0] <= value[1]:
            raise ValueError(f"{name} must be 0 <= smallest <= largest, got {value}")
