# SPDX-License-Identifier: Apache-2.0
"""Pictures of a modulated stage for one image: its attention, where its samples are, and its feature maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

from dealias.analysis import RoundTrip, StageMaps, StageModulation, direction_colours
from dealias.inspection import Size
from dealias.ops.warp import demodulate
from dealias.ops.warp.grid import rescale_points
from dealias.report.html.heat import heat_colours

Picture = NDArray[np.uint8]

LARGEST = 512
"""Pixels along the longer side of pictures of attention and points; larger feature maps are reduced to it."""

MAPS = tuple(field.name for field in fields(RoundTrip))
"""Feature maps that are shown, as :class:`dealias.analysis.RoundTrip` calls them."""

_MOST_POINTS = 64
"""Along the longer side of the grid: of more, every second, third, ... is drawn along rows and columns."""

_POINT = (255, 206, 84)
_DIMMED = 0.45
_TOP_QUANTILE = 0.995
_FINER = 4


@dataclass(frozen=True)
class StagePictures:
    """A stage for one image.

    Attributes:
        stage: what was measured of it over all images.
        label: what to call it.
        attention: in colours, in the shape of the image.
        top: the attention that is shown brightest, 1 being its mean.
        points: where the image is sampled, as dots on it.
        every: which of the samples are drawn, along rows and columns.
        maps: feature maps by the names in :data:`MAPS`; equal colours are equal directions of features.
    """

    stage: StageModulation
    label: str
    attention: Picture
    top: float
    points: Picture
    every: int
    maps: Mapping[str, Picture]


def draw_stage(pixels: Picture, maps: StageMaps, stage: StageModulation, label: str) -> StagePictures:
    """Draw a stage.

    Args:
        pixels: the image, [H, W, 3].
        maps: what the stage did to it, of this one image.
        stage: what was measured of the stage.
        label: what to call it.
    """
    attention, top = _draw_attention(maps, _displayed(pixels))
    points, every = _draw_points(pixels, maps)
    features = [_reduced(getattr(maps.trip, name)[0].float()) for name in MAPS]
    colours = dict(zip(MAPS, (colour.numpy() for colour in direction_colours(features)), strict=True))
    return StagePictures(stage, label, attention, top, points, every, colours)


def _displayed(pixels: Picture) -> Size:
    """Height and width of pictures in the shape of the image."""
    height, width = pixels.shape[:2]
    factor = LARGEST / max(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))


def _draw_attention(maps: StageMaps, size: Size) -> tuple[Picture, float]:
    """Brought to the image through the warps of the stages before; and the value of the brightest colour."""
    attention = demodulate(maps.attention, maps.warps[:-1], size)[0, 0].float().cpu()
    top = torch.quantile(attention[:: -(-size[0] // 256), :: -(-size[1] // 256)], _TOP_QUANTILE).item()
    levels = (255 * attention / max(top, 1e-12)).round().clamp(0, 255).long().numpy()
    return np.array(heat_colours(), np.uint8)[levels], top


def _draw_points(pixels: Picture, maps: StageMaps) -> tuple[Picture, int]:
    """The image, dim and grey, with the places that the pixels of the warped grid look at; and which are drawn."""
    height, width = _displayed(pixels)
    warp = maps.points
    every = -(-max(warp.grid_size) // _MOST_POINTS)
    first = (every - 1) // 2
    points = rescale_points(warp.map, warp.size, (height, width))[0, :, first::every, first::every]
    spacing = max(height, width) / max(points.shape[1:])
    radius = _FINER * min(max(spacing / 6, 1.0), 4.0)
    grey = Image.fromarray(pixels).convert("L").resize((width, height), Image.Resampling.BILINEAR)
    dots = Image.new("L", (_FINER * width, _FINER * height))
    draw = ImageDraw.Draw(dots)
    for x, y in (_FINER * (points.flatten(1).T.cpu() + 0.5)).tolist():
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), 255)
    opacity = np.asarray(dots.resize((width, height), Image.Resampling.BOX), np.float64)[..., None] / 255
    dim = _DIMMED * np.asarray(grey, np.float64)[..., None]
    return np.rint((1 - opacity) * dim + opacity * np.array(_POINT, np.float64)).astype(np.uint8), every


def _reduced(features: Tensor) -> Tensor:
    """Features [C, h, w] that fit into a square."""
    height, width = features.shape[1:]
    factor = min(1.0, LARGEST / max(height, width))
    if factor == 1:
        return features
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    return functional.interpolate(features[None], size, mode="bilinear", antialias=True)[0]
