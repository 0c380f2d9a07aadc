# SPDX-License-Identifier: Apache-2.0
"""Sample images, and upon each of them where the power is that a layer cannot keep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dealias.data.images import open_image
from dealias.report.html.documents import explained
from dealias.report.html.encoding import photo_uri
from dealias.report.html.heat import heat_colours
from dealias.report.html.numbers import percent

from .document import Document, Picture

LARGEST_SIDE = 1024
"""Pictures are shown reduced to this many pixels along their longer side."""

_DIMMED = 0.4


@dataclass(frozen=True)
class HeatMap:
    """A map of a layer upon the image, a data URI, and the layer's score for this image in percent, if known."""

    layer: str
    picture: str
    score: str


@dataclass(frozen=True)
class MappedImage:
    """A sample image, a data URI, with its maps."""

    name: str
    picture: str
    width: int
    height: int
    maps: tuple[HeatMap, ...]


def load_maps(document: Document) -> tuple[MappedImage, ...]:
    """Read the pictures of an analysis.

    Raises:
        ValueError: a picture is missing or broken; it is named.
    """
    return tuple(_load(document, picture) for picture in document.pictures)


def _load(document: Document, picture: Picture) -> MappedImage:
    image = _read(picture.image, "RGB")
    maps = []
    for of in picture.maps:
        scores = document.image_scores.get(of.layer)
        score = "" if scores is None else percent(scores[picture.position])
        maps.append(HeatMap(of.layer, photo_uri(_upon(image, _read(of.file, "L"))), score))
    return MappedImage(picture.name, photo_uri(np.asarray(image)), image.width, image.height, tuple(maps))


def _read(path: Path, mode: str) -> Image.Image:
    with explained(path, "a picture"), open_image(path) as file:
        image = file.convert(mode)
    if mode == "RGB":
        image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BOX)
    return image


def _upon(image: Image.Image, levels: Image.Image) -> NDArray[np.uint8]:
    """The image in dim grey, and the stronger a place of the map, the more of the map's colour over it."""
    large = np.asarray(levels.resize(image.size, Image.Resampling.BILINEAR))
    opacity = (large / 255.0)[..., None]
    grey = _DIMMED * np.asarray(image.convert("L"), np.float64)[..., None]
    colours = np.array(heat_colours(), np.float64)[large]
    return np.rint((1 - opacity) * grey + opacity * colours).astype(np.uint8)
