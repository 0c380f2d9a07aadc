# SPDX-License-Identifier: Apache-2.0
"""Sample pictures of a run as plain files: image, ground truth and prediction, from which galleries are made anywhere.

Ground truth and prediction are palette PNGs: their pixel values are class ids, and every viewer shows them in the
classes' colours. ``pictures.json`` beside them names the files, the classes, the colours and the rule that chose the
samples.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .canvas import Colour

INDEX_FILE = "pictures.json"
UNLABELLED: Colour = (0, 0, 0)


@dataclass(frozen=True)
class Sample:
    """One image [H, W, 3] uint8 with its ground truth and prediction, class ids [H, W] uint8."""

    name: str
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]


@dataclass(frozen=True)
class Pictures:
    """The samples of one run and how to read them."""

    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    ignore_index: int
    rule: str
    samples: tuple[Sample, ...]


def evenly_spaced(length: int, count: int) -> list[int]:
    """``count`` indices spread over a data set, whatever is in it: the middles of ``count`` equal parts.

    >>> evenly_spaced(100, 4), evenly_spaced(2, 5)
    ([12, 37, 62, 87], [0, 1])
    """
    count = min(count, length)
    return [(2 * position + 1) * length // (2 * count) for position in range(count)]


def save_pictures(folder: Path, pictures: Pictures) -> None:
    """Write the samples and ``pictures.json`` into ``folder``; the index comes last, so it names only what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for number, sample in enumerate(pictures.samples):
        files = {part: f"{number:03d}_{part}.png" for part in ("image", "truth", "prediction")}
        Image.fromarray(sample.image).save(folder / files["image"])
        _indexed(sample.truth, pictures.palette).save(folder / files["truth"])
        _indexed(sample.prediction, pictures.palette).save(folder / files["prediction"])
        entries.append({"name": sample.name, **files})
    index = {
        "classes": pictures.classes,
        "palette": pictures.palette,
        "ignore_index": pictures.ignore_index,
        "rule": pictures.rule,
        "samples": entries,
    }
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n")


def load_pictures(folder: Path) -> Pictures:
    """Read what :func:`save_pictures` wrote.

    Raises:
        ValueError: there is no ``pictures.json`` in ``folder``.
    """
    path = folder / INDEX_FILE
    if not path.is_file():
        raise ValueError(f"{path} not found: the folder holds no pictures of a run")
    index = json.loads(path.read_text())
    samples = [
        Sample(
            entry["name"], *(np.asarray(Image.open(folder / entry[part])) for part in ("image", "truth", "prediction"))
        )
        for entry in index["samples"]
    ]
    palette = tuple((red, green, blue) for red, green, blue in index["palette"])
    return Pictures(tuple(index["classes"]), palette, index["ignore_index"], index["rule"], tuple(samples))


def colourise(labels: NDArray[np.uint8], palette: Sequence[Colour]) -> NDArray[np.uint8]:
    """Class ids [H, W] -> colours [H, W, 3]; ids outside the palette, so those to ignore, are :data:`UNLABELLED`."""
    table = np.full((256, 3), UNLABELLED, np.uint8)
    table[: len(palette)] = palette
    return table[labels]


def _indexed(labels: NDArray[np.uint8], palette: Sequence[Colour]) -> Image.Image:
    image = Image.fromarray(labels)
    colours = [*palette, *[UNLABELLED] * (256 - len(palette))]
    image.putpalette([channel for colour in colours for channel in colour])
    return image
