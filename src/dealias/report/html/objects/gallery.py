# SPDX-License-Identifier: Apache-2.0
"""Sample images of runs on objects: what was drawn of the ground truth and of the predictions, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dealias.report.canvas import Colour
from dealias.report.html.chapters import Chapter, Run
from dealias.report.html.documents import explained, read_object
from dealias.report.html.encoding import photo_uri
from dealias.report.html.numbers import percent
from dealias.report.html.samples import Gallery, Prediction, Shown, are_pixelated, are_reduced, in_common, leader
from dealias.report.object_errors import OBJECT_ERRORS, error_shares
from dealias.report.pictures import INDEX_FILE, read_picture

_FOLDER = "pictures"
_MODES = (("labels", "objects"), ("errors", "errors"))


@dataclass(frozen=True)
class DrawnSample:
    """Pictures [H, W, 3] of an image; ``errors`` is None where it is not known which pixels are wrong."""

    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    errors: NDArray[np.uint8] | None
    why: tuple[str, ...]


@dataclass(frozen=True)
class DrawnSamples:
    """The pictures of a run by the name of the image, the rule that chose them, and the colours of the classes."""

    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    rule: str
    by_name: Mapping[str, DrawnSample]


def load_object_gallery(chapter: Chapter) -> Gallery | None:
    """What the runs that have pictures have in common; ``None`` without pictures.

    Raises:
        ValueError: pictures are missing or broken, or do not fit each other; the file is named.
    """
    names = [variant.name for variant in chapter.comparison.variants]
    runs = {name: run for name in names if (run := _shown_run(chapter, name))}
    loaded = {name: load_drawn(run.folder / _FOLDER) for name, run in runs.items() if run.folder}
    alike, images = in_common(loaded)
    if not images:
        return None
    first = next(iter(alike.values()))
    sizes = [first.by_name[name].image.shape[:2] for name in images]
    has_errors = any(answers.by_name[name].errors is not None for answers in alike.values() for name in images)
    return Gallery(
        rule=f"{first.rule[:1].upper()}{first.rule[1:]}.",
        seed=next(iter(runs.values())).seed if len(chapter.comparison.seeds) > 1 else None,
        band=None,
        kinds=OBJECT_ERRORS if has_errors else (),
        modes=_MODES if has_errors else _MODES[:1],
        classes=tuple(zip(first.palette, first.classes, strict=True)),
        has_ignored=False,
        variants=tuple(alike),
        without=tuple(name for name in names if name not in alike),
        right=leader(chapter, list(alike)),
        samples=tuple(_show(name, alike) for name in images),
        tables=(),
        is_pixelated=are_pixelated(sizes),
        is_reduced=are_reduced(sizes),
    )


def _shown_run(chapter: Chapter, variant: str) -> Run | None:
    """The first run of a variant that has pictures."""
    runs = chapter.runs_of(variant)
    return next((run for run in runs if run.folder and (run.folder / _FOLDER / INDEX_FILE).is_file()), None)


def load_drawn(folder: Path) -> DrawnSamples:
    """Read the pictures that :class:`dealias.train.object_pictures.ObjectPictures` wrote.

    Raises:
        ValueError: the index or a picture is missing or broken; the file is named.
    """
    path = folder / INDEX_FILE
    index = read_object(path)
    with explained(path, "an index of pictures"):
        classes = tuple(str(name) for name in index["classes"])
        palette = tuple((int(red), int(green), int(blue)) for red, green, blue in index["palette"])
        if len(palette) != len(classes):
            raise ValueError(f"{len(palette)} colours for {len(classes)} classes")
        samples = {str(entry["name"]): _read(folder, entry) for entry in index["samples"]}
        return DrawnSamples(classes, palette, str(index["rule"]), samples)


def _read(folder: Path, entry: Mapping[str, Any]) -> DrawnSample:
    image, *others = (_picture(folder, entry[part]) for part in ("image", "truth", "prediction"))
    errors = _picture(folder, entry["errors"]) if "errors" in entry else None
    for picture in (*others, *([] if errors is None else [errors])):
        if picture.shape != image.shape:
            found, expected = (f"{shape[1]}x{shape[0]}" for shape in (picture.shape, image.shape))
            raise ValueError(f"a picture of {entry['name']} is {found}, its image {expected}")
    truth, prediction = others
    return DrawnSample(image, truth, prediction, errors, tuple(map(str, entry["why"])))


def _picture(folder: Path, file: Any) -> NDArray[np.uint8]:
    return read_picture(folder, str(file), ("RGB",))


def _show(name: str, alike: Mapping[str, DrawnSamples]) -> Shown:
    samples = {variant: answers.by_name[name] for variant, answers in alike.items()}
    first = next(iter(samples.values()))
    height, width, _ = first.image.shape
    predictions = tuple(_predict(variant, sample) for variant, sample in samples.items())
    return Shown(name, (), width, height, photo_uri(first.image), photo_uri(first.truth), predictions)


def _predict(variant: str, sample: DrawnSample) -> Prediction:
    drawn = photo_uri(sample.prediction)
    if sample.errors is None:
        return Prediction(variant, drawn, "", "", ())
    shares = error_shares(sample.errors)
    return Prediction(variant, drawn, photo_uri(sample.errors), percent(sum(shares)), tuple(map(percent, shares)))
