# SPDX-License-Identifier: Apache-2.0
"""All that the stages do to an image in one picture, a row per stage: attention, points, feature maps, and spectra."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from dealias.analysis import StageModulation
from dealias.report.canvas import Legend, Tile, draw_grid

from .drawing import Picture, StagePictures
from .plot import COLOURS, draw_spectra

WIDTH = 256
"""Pixels of a tile."""

_LOWEST_PLOT = 176

CURVES = {
    "before": "as it arrives",
    "modulated": "modulated",
    "demodulated": "modulated, sampled, and brought back",
    "plain": "sampled and brought back without modulation",
}
"""What the maps are whose spectra are drawn."""


def draw_overview(name: str, stages: Sequence[StagePictures]) -> Image.Image:
    """Draw an image's stages.

    Args:
        name: of the image.
        stages: their pictures, a row each.
    """
    entries = tuple((COLOURS[key], text) for key, text in CURVES.items())
    limit = "Spectra: share of the power by frequency. Dashed: the highest frequency that the stride keeps"
    return draw_grid(
        f"Modulation of {name}",
        "A row for each stage. Equal colours in a row are equal directions of features.",
        [_row(stage) for stage in stages],
        [Legend(limit, entries)],
        WIDTH,
    )


def _row(drawn: StagePictures) -> list[Tile]:
    stage, shape = drawn.stage, (drawn.points.shape[0], drawn.points.shape[1])
    height, width = stage.size
    kept = f"{-(-height // stage.stride)} x {-(-width // stage.stride)}"
    every = "all samples" if drawn.every == 1 else f"one sample of {drawn.every} x {drawn.every}"
    captions = {
        "before": ("as it arrives", f"{height} x {width}, {stage.channels} channels"),
        "modulated": ("modulated", f"{height} x {width}"),
        "sampled": ("modulated and sampled", kept),
        "demodulated": ("brought back", f"from the {kept} samples"),
        "plain": ("without modulation", f"sampled to {kept}, brought back"),
    }
    plot_height = min(max(_fitted(drawn.points, shape).shape[0], _LOWEST_PLOT), WIDTH)
    over = f"spectra, mean of {stage.images} images" if stage.images > 1 else "spectra"
    return [
        Tile(_fitted(drawn.attention, shape), f"{drawn.label}: attention", f"white: {drawn.top:.1f} x the mean"),
        Tile(_fitted(drawn.points, shape), "where it samples", every),
        *(Tile(_fitted(drawn.maps[key], shape), *captions[key]) for key in captions),
        Tile(draw_spectra(stage, WIDTH, plot_height), over, _beyond(stage)),
    ]


def _beyond(stage: StageModulation) -> str:
    before, modulated = (100 * stage.aliasing[key].mean for key in ("before", "modulated"))
    return f"{before:.1f} to {modulated:.1f} % beyond {stage.nyquist:g}"


def _fitted(picture: Picture, shape: tuple[int, int]) -> Picture:
    """In the shape of the image and as wide as a tile, with sharp pixels."""
    size = (WIDTH, max(1, round(WIDTH * shape[0] / shape[1])))
    is_larger = picture.shape[1] > WIDTH
    kind = Image.Resampling.BOX if is_larger else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(picture).resize(size, kind))
