# SPDX-License-Identifier: Apache-2.0
"""Sample pictures of a run as plain files: image, ground truth and prediction, from which galleries are made anywhere.

Ground truth and prediction are palette PNGs: their pixel values are class ids, and every viewer shows them in the
classes' colours. ``pictures.json`` beside them names the files, the classes, the colours, why each image was chosen and
the rule that chose them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dealias._documents import read_json
from dealias._files import write_text
from dealias.data.colours import check_palette
from dealias.data.images import open_image

from .canvas import Colour

INDEX_FILE = "pictures.json"
UNLABELLED: Colour = (0, 0, 0)
EVENLY_SPACED = "evenly spaced"
"""Why a sample is shown that stands for its set; all others were chosen by their scores."""

_PARTS = {"image": ("RGB",), "truth": ("P", "L"), "prediction": ("P", "L")}
"""The files of a sample, and the modes that they may have."""


@dataclass(frozen=True)
class Sample:
    """One image [H, W, 3] uint8 with its ground truth and prediction, class ids [H, W] uint8, and why it is shown."""

    name: str
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    why: tuple[str, ...] = (EVENLY_SPACED,)


@dataclass(frozen=True)
class Pictures:
    """The samples of one run and how to read them."""

    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    ignore_index: int
    rule: str
    samples: tuple[Sample, ...]


def save_pictures(folder: Path, pictures: Pictures) -> None:
    """Write the samples and ``pictures.json`` into ``folder``, in place of those that were there.

    The index goes first and comes last, so it names only what is there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX_FILE).unlink(missing_ok=True)
    for part in _PARTS:
        for left in folder.glob(f"[0-9][0-9][0-9]_{part}.png"):
            left.unlink()
    entries = []
    for number, sample in enumerate(pictures.samples):
        files = {part: f"{number:03d}_{part}.png" for part in _PARTS}
        Image.fromarray(sample.image).save(folder / files["image"])
        _indexed(sample.truth, pictures.palette).save(folder / files["truth"])
        _indexed(sample.prediction, pictures.palette).save(folder / files["prediction"])
        entries.append({"name": sample.name, "why": sample.why, **files})
    index = {
        "classes": pictures.classes,
        "palette": pictures.palette,
        "ignore_index": pictures.ignore_index,
        "rule": pictures.rule,
        "samples": entries,
    }
    write_text(folder / INDEX_FILE, json.dumps(index, indent=2) + "\n")


def load_pictures(folder: Path) -> Pictures:
    """Read what :func:`save_pictures` wrote.

    Raises:
        ValueError: ``pictures.json`` is missing or not as expected, or a picture is missing, broken, outside of
            ``folder``, of another size than its image, or has unknown ids; the file is named.
    """
    path = folder / INDEX_FILE
    if not path.is_file():
        raise ValueError(f"{path} not found: the folder holds no pictures of a run")
    try:
        index = read_json(path)
        classes = tuple(str(name) for name in index["classes"])
        palette = check_palette(index["palette"], classes)
        ignore_index, rule = int(index["ignore_index"]), str(index["rule"])
        entries = [(str(entry["name"]), tuple(map(str, entry["why"])), _files(entry)) for entry in index["samples"]]
    except KeyError as error:
        raise ValueError(f"{path} is no index of pictures: {error} is missing") from error
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no index of pictures: {error}") from error
    samples = tuple(_read_sample(folder, *entry, known=len(classes), ignored=ignore_index) for entry in entries)
    return Pictures(classes, palette, ignore_index, rule, samples)


def colourise(labels: NDArray[np.uint8], palette: Sequence[Colour]) -> NDArray[np.uint8]:
    """Class ids [H, W] -> colours [H, W, 3]; ids outside the palette, so those to ignore, are :data:`UNLABELLED`."""
    table = np.full((256, 3), UNLABELLED, np.uint8)
    table[: len(palette)] = palette
    return table[labels]


def _files(entry: Mapping[str, Any]) -> dict[str, str]:
    return {part: str(entry[part]) for part in _PARTS}


def _read_sample(
    folder: Path, name: str, why: tuple[str, ...], files: Mapping[str, str], known: int, ignored: int
) -> Sample:
    image, truth, prediction = (read_picture(folder, files[part], modes) for part, modes in _PARTS.items())
    for part, labels, allowed in (("truth", truth, {ignored}), ("prediction", prediction, set())):
        path = folder / files[part]
        if labels.shape != image.shape[:2]:
            found, expected = (f"{shape[1]}x{shape[0]}" for shape in (labels.shape, image.shape))
            raise ValueError(f"{path}: its size is {found}, that of its image {files['image']} {expected}")
        unknown = {int(label) for label in np.unique(labels)} - {*range(known)} - allowed
        if unknown:
            raise ValueError(f"{path}: ids must be in [0, {known}), found {sorted(unknown)}")
    return Sample(name, image, truth, prediction, why)


def read_picture(folder: Path, file: str, modes: tuple[str, ...]) -> NDArray[np.uint8]:
    """A picture in ``folder``; a name in somebody's index must not reach any other file.

    Raises:
        ValueError: naming the file: it is missing, broken, elsewhere, or of another mode.
    """
    path = folder / file
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError("it lies outside of the folder of its index")
        with open_image(path) as image:
            if image.mode not in modes:
                raise ValueError(f"its mode is {image.mode}, expected {' or '.join(modes)}")
            return np.asarray(image)
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, EOFError, ... on broken data
        raise ValueError(f"{path} cannot be read as a picture: {error}") from error


def _indexed(labels: NDArray[np.uint8], palette: Sequence[Colour]) -> Image.Image:
    image = Image.fromarray(labels)
    colours = [*palette, *[UNLABELLED] * (256 - len(palette))]
    image.putpalette([channel for colour in colours for channel in colour])
    return image
