# SPDX-License-Identifier: Apache-2.0
"""Sample images with their stages, as the page shows them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dealias.data.images import open_image
from dealias.report.html.documents import explained
from dealias.report.html.encoding import LARGEST_SIDE, photo_uri

from .document import Document, Picture, StageFiles

_CAPTIONS = {
    "before": "as it arrives",
    "modulated": "modulated",
    "sampled": "modulated and sampled",
    "demodulated": "brought back",
    "plain": "without modulation",
}


@dataclass(frozen=True)
class View:
    """A picture, a data URI, with its caption and a faint second line; ``is_sharp``: its pixels are to be seen."""

    picture: str
    caption: str
    detail: str
    is_sharp: bool


@dataclass(frozen=True)
class ShownStage:
    """A stage of an image."""

    name: str
    views: tuple[View, ...]


@dataclass(frozen=True)
class ShownImage:
    """A sample image, a data URI, its size, and its stages."""

    name: str
    picture: str
    width: int
    height: int
    stages: tuple[ShownStage, ...]


def load_pictures(document: Document) -> tuple[ShownImage, ...]:
    """Read the pictures of an analysis.

    Raises:
        ValueError: a picture is missing or broken; it is named.
    """
    return tuple(_load(picture) for picture in document.pictures)


def _load(picture: Picture) -> ShownImage:
    with explained(picture.image, "a picture"), open_image(picture.image) as file:
        image = file.convert("RGB")
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BOX)
    stages = tuple(ShownStage(stage.name, _views(stage)) for stage in picture.stages)
    return ShownImage(picture.name, photo_uri(np.asarray(image)), image.width, image.height, stages)


def _views(stage: StageFiles) -> tuple[View, ...]:
    every = "all samples" if stage.every == 1 else f"one sample of {stage.every} x {stage.every}"
    maps = []
    for name, caption in _CAPTIONS.items():
        picture, size = _read(stage.maps[name])
        maps.append(View(picture, caption, size, True))
    return (
        View(_read(stage.attention)[0], "attention", f"white: {stage.top:.1f} times its mean", False),
        View(_read(stage.points)[0], "where it samples", every, False),
        *maps,
    )


def _read(path: Path) -> tuple[str, str]:
    """A picture and its size."""
    with explained(path, "a picture"), open_image(path) as file:
        pixels = np.asarray(file.convert("RGB"))
    return photo_uri(pixels), f"{pixels.shape[0]} \N{MULTIPLICATION SIGN} {pixels.shape[1]}"
