# SPDX-License-Identifier: Apache-2.0
"""The spectra of a modulated stage as a small plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dealias.analysis import StageModulation
from dealias.report.canvas import FAINT, INK, PAPER, Colour

COLOURS: dict[str, Colour] = {
    "before": (120, 128, 140),
    "modulated": (11, 98, 196),
    "demodulated": (15, 123, 95),
    "plain": (194, 65, 12),
}
"""Of the curves, by map."""

_GRID: Colour = (224, 227, 233)
_LEFT, _TOP, _RIGHT, _BOTTOM = 56, 6, 12, 38
_FINER = 4
_TEXT_SIZE = 13
_CLOSE = 24
"""Pixels between lines: closer, every second one is left out."""

_LOWEST_DECADE = -6
_LIMIT = 0.5


def draw_spectra(stage: StageModulation, width: int, height: int) -> NDArray[np.uint8]:
    """Shares of power over frequency, on a logarithmic scale, with the limit of the stride as a dashed line.

    Args:
        stage: what was measured.
        width: in pixels.
        height: likewise.

    Returns:
        [height, width, 3].
    """
    frame = _Frame(width - _RIGHT, height - _BOTTOM, _lowest_decade(stage))
    lines = Image.new("RGB", (width * _FINER, height * _FINER), PAPER)
    draw = ImageDraw.Draw(lines)
    for decade in frame.decades:
        _line(draw, [frame.place(0, 10.0**decade), frame.place(_LIMIT, 10.0**decade)], _GRID, 1)
    limit, _ = frame.place(stage.nyquist, 1)
    for top in range(_TOP, frame.bottom, 9):
        _line(draw, [(limit, top), (limit, min(top + 5, frame.bottom))], INK, 1.25)
    for name, colour in COLOURS.items():
        curve = [frame.place(*point) for point in zip(stage.frequencies, stage.spectra[name], strict=True)]
        _line(draw, curve, colour, 2)
    _line(draw, [(_LEFT, frame.bottom), (frame.right, frame.bottom)], FAINT, 1)
    plot = lines.resize((width, height), Image.Resampling.BOX)
    _write_scales(ImageDraw.Draw(plot), frame)
    return np.asarray(plot)


@dataclass(frozen=True)
class _Frame:
    """From (_LEFT, _TOP) to (right, bottom), 1 at the top and a power of ten at the bottom."""

    right: int
    bottom: int
    lowest: int

    @property
    def decades(self) -> range:
        """Powers of ten with a line."""
        return range(0, self.lowest - 1, -1 if self.bottom > _CLOSE * -self.lowest else -2)

    def place(self, frequency: float, share: float) -> tuple[float, float]:
        """Where a point of a curve is."""
        decade = math.log10(share) if share > 0 else self.lowest
        down = min(max(decade / self.lowest, 0.0), 1.0)
        across = _LEFT + (self.right - _LEFT) * frequency / _LIMIT
        return across, _TOP + (self.bottom - _TOP) * down


def _lowest_decade(stage: StageModulation) -> int:
    positive = [share for curve in stage.spectra.values() for share in curve if share > 0]
    return max(_LOWEST_DECADE, min(-1, math.floor(math.log10(min(positive, default=0.1)))))


def _line(draw: ImageDraw.ImageDraw, points: Sequence[tuple[float, float]], colour: Colour, width: float) -> None:
    finer = [(_FINER * x, _FINER * y) for x, y in points]
    draw.line(finer, colour, round(_FINER * width), joint="curve")


def _write_scales(draw: ImageDraw.ImageDraw, frame: _Frame) -> None:
    font = ImageFont.load_default(_TEXT_SIZE)
    for decade in frame.decades:
        y = frame.place(0, 10.0**decade)[1]
        draw.text((_LEFT - 5, max(y, _TOP + 2)), f"{100 * 10.0**decade:g}%", FAINT, font, anchor="rm")
    for tenth in range(0, 6):
        x = frame.place(tenth / 10, 1)[0]
        draw.text((x, frame.bottom + 4), f"{tenth / 10:g}", FAINT, font, anchor="mt")
    middle = (_LEFT + frame.right) / 2
    draw.text((middle, frame.bottom + 21), "cycles per sample", FAINT, font, anchor="mt")
