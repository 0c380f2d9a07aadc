# SPDX-License-Identifier: Apache-2.0
"""Sample images with their features: as colours, and as small copies whose cosines the page computes on a click."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dealias.data.images import open_image
from dealias.report.html.documents import explained
from dealias.report.html.encoding import LARGEST_SIDE, indexed_uri, photo_uri
from dealias.report.html.numbers import percent

from .document import Document, FeatureFiles, Picture
from .rows import MAP_NAMES

_WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Side:
    """Features before or after a layer: colours, a data URI, and the small copy, int8 as base64, with its shape."""

    name: str
    colours: str
    vectors: str
    shape: str


@dataclass(frozen=True)
class Pair:
    """Features of one map; ``key`` is the same for that map in all samples, ``kept`` is percent of their power."""

    key: int
    sides: tuple[Side, ...]
    kept: str


@dataclass(frozen=True)
class Shown:
    """A sample: the image and the outlines of its classes, data URIs, its size, and the features."""

    name: str
    image: str
    outlines: str
    width: int
    height: int
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Features:
    """What can be looked at.

    Attributes:
        choices: key and name of each map.
        chosen: the key that is shown first.
        samples: the images.
    """

    choices: tuple[tuple[int, str], ...]
    chosen: int
    samples: tuple[Shown, ...]


def load_features(document: Document) -> Features | None:
    """Read the pictures of an analysis; ``None`` if there are none.

    Raises:
        ValueError: a file is missing or broken; it is named.
    """
    places = dict.fromkeys((of.layer, of.map) for picture in document.pictures for of in picture.features)
    if not places:
        return None
    keys = {place: key for key, place in enumerate(places)}
    choices = tuple((key, f"{layer}, {MAP_NAMES.get(name, name)}") for (layer, name), key in keys.items())
    telling = [(found.layer, found.map) for found in document.telling if (found.layer, found.map) in keys]
    samples = tuple(_show(picture, keys) for picture in document.pictures)
    return Features(choices, keys[telling[-1]] if telling else 0, samples)


def _show(picture: Picture, keys: Mapping[tuple[str, str], int]) -> Shown:
    with explained(picture.image, "a picture"), open_image(picture.image) as file:
        image = file.convert("RGB")
    with explained(picture.labels, "a picture of labels"), open_image(picture.labels) as file:
        labels = np.asarray(file.convert("L"))
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BOX)
    return Shown(
        name=picture.name,
        image=photo_uri(np.asarray(image)),
        outlines=_outlines(labels),
        width=image.width,
        height=image.height,
        pairs=tuple(_pair(of, keys[of.layer, of.map]) for of in picture.features),
    )


def _outlines(labels: NDArray[np.uint8]) -> str:
    """Where the next pixel to the right or below has another label."""
    edges = np.zeros(labels.shape, np.uint8)
    edges[:, :-1] |= labels[:, 1:] != labels[:, :-1]
    edges[:-1] |= labels[1:] != labels[:-1]
    return indexed_uri(edges, ((0, 0, 0), _WHITE), clear=0)


def _pair(files: FeatureFiles, key: int) -> Pair:
    with explained(files.vectors, "an array of directions"):
        vectors = np.load(files.vectors, allow_pickle=False)
        paths = {name: path for name, path in (("before", files.before), ("after", files.after)) if path is not None}
        if vectors.dtype != np.int8 or vectors.ndim != 4 or len(vectors) != len(paths):
            raise ValueError(f"expected int8 [{len(paths)}, directions, h, w], found {vectors.dtype} {vectors.shape}")
    sides = tuple(_side(name, path, of) for (name, path), of in zip(paths.items(), vectors, strict=True))
    return Pair(key, sides, percent(files.kept, 0))


def _side(name: str, path: Path, vectors: NDArray[np.int8]) -> Side:
    with explained(path, "a picture"), open_image(path) as file:
        colours = photo_uri(np.asarray(file.convert("RGB")))
    text = base64.b64encode(np.ascontiguousarray(vectors).tobytes()).decode("ascii")
    return Side(name, colours, text, ",".join(map(str, vectors.shape)))
