# SPDX-License-Identifier: Apache-2.0
"""Pictures in a grid with captions and a legend: the one layout that every PNG here shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (32, 36, 44)
FAINT: Colour = (112, 118, 130)

MARGIN = 24
GAP = 12
TITLE_SIZE = 22
TEXT_SIZE = 15
LINE = 22
SWATCH = 14


@dataclass(frozen=True)
class Tile:
    """A picture [H, W, 3] uint8 with a caption below; a second caption line is faint."""

    picture: NDArray[np.uint8]
    caption: str
    detail: str = ""


@dataclass(frozen=True)
class Legend:
    """Colours and what they stand for, under a heading."""

    heading: str
    entries: tuple[tuple[Colour, str], ...]


def fit(picture: NDArray[np.uint8], width: int) -> Image.Image:
    """Bring a picture [H, W, 3] close to a width: small ones by whole factors, so that pixels stay square and sharp.

    A picture wider than ``width`` is averaged down to it.

    >>> fit(np.zeros((10, 100, 3), np.uint8), 256).size, fit(np.zeros((100, 512, 3), np.uint8), 256).size
    ((200, 20), (256, 50))
    """
    height, found = picture.shape[:2]
    image = Image.fromarray(picture)
    if found > width:
        return image.resize((width, max(1, round(height * width / found))), Image.Resampling.BOX)
    factor = width // found
    return image.resize((found * factor, height * factor), Image.Resampling.NEAREST)


def draw_grid(
    title: str,
    subtitle: str,
    rows: Sequence[Sequence[Tile]],
    legends: Sequence[Legend] = (),
    width: int = 256,
) -> Image.Image:
    """Draw rows of tiles from left to right, each with its captions, and the legends below.

    Args:
        title: the heading.
        subtitle: one faint line below it.
        rows: the tiles; rows may differ in length.
        legends: drawn below the grid, entries wrapping to the width of the picture.
        width: width of a tile in pixels, see :func:`fit`.

    Raises:
        ValueError: no tile.
    """
    pictures = [[fit(tile.picture, width) for tile in row] for row in rows]
    if not any(pictures):
        raise ValueError("a grid needs at least one tile")
    cell = max(picture.width for row in pictures for picture in row)
    columns = max(len(row) for row in pictures)
    total_width = max(2 * MARGIN + columns * cell + (columns - 1) * GAP, 640)
    top = MARGIN + 2 * LINE + GAP
    heights = [max((picture.height for picture in row), default=0) + 2 * LINE + GAP for row in pictures]
    placed = [(legend, _wrap(legend, total_width - 2 * MARGIN)) for legend in legends]
    legend_height = sum((len(lines) + 1) * LINE + GAP for _, lines in placed)
    canvas = Image.new("RGB", (total_width, top + sum(heights) + legend_height + MARGIN), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN - 4), title, INK, _font(TITLE_SIZE))
    draw.text((MARGIN, MARGIN + LINE + 4), subtitle, FAINT, _font(TEXT_SIZE))
    for row, drawn, height in zip(rows, pictures, heights, strict=True):
        for column, (tile, picture) in enumerate(zip(row, drawn, strict=True)):
            left = MARGIN + column * (cell + GAP)
            canvas.paste(picture, (left, top))
            draw.text((left, top + picture.height + 3), tile.caption, INK, _font(TEXT_SIZE))
            draw.text((left, top + picture.height + LINE), tile.detail, FAINT, _font(TEXT_SIZE))
        top += height
    for legend, lines in placed:
        top = _draw_legend(draw, legend.heading, lines, top)
    return canvas


def _draw_legend(draw: ImageDraw.ImageDraw, heading: str, lines: list[list[tuple[int, Colour, str]]], top: int) -> int:
    draw.text((MARGIN, top), heading, INK, _font(TEXT_SIZE))
    for line in lines:
        top += LINE
        for left, colour, text in line:
            draw.rectangle((left, top + 2, left + SWATCH, top + 2 + SWATCH), colour, FAINT)
            draw.text((left + SWATCH + 6, top), text, INK, _font(TEXT_SIZE))
    return top + LINE + GAP


def _wrap(legend: Legend, width: int) -> list[list[tuple[int, Colour, str]]]:
    """Break the entries into lines; each entry with its left edge."""
    lines: list[list[tuple[int, Colour, str]]] = [[]]
    left = MARGIN
    for colour, text in legend.entries:
        needed = SWATCH + 6 + round(_font(TEXT_SIZE).getlength(text)) + 2 * GAP
        if lines[-1] and left + needed - 2 * GAP > MARGIN + width:
            lines.append([])
            left = MARGIN
        lines[-1].append((left, colour, text))
        left += needed
    return lines


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
