# SPDX-License-Identifier: Apache-2.0
"""The gallery of a comparison: image and ground truth beside every variant's prediction and what it changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .canvas import Colour, Legend, Tile, draw_grid
from .pictures import UNLABELLED, Pictures, Sample, colourise

STILL_WRONG: Colour = (90, 82, 110)
CORRECTED: Colour = (0, 114, 178)
BROKEN: Colour = (230, 97, 0)
"""Okabe and Ito's blue and a vermilion: told apart with every common colour blindness."""


SMALL, LARGE = 256, 384
"""Width of a tile in pixels, for images up to the smaller width and for larger ones."""


def render_gallery(runs: Mapping[str, Pictures], subtitle: str) -> Image.Image:
    """Draw, for each sample, the image over the ground truth, and each variant's prediction over its error map.

    Error maps lie on the greyed image. The first variant's shows its wrong pixels; the others' show what changed
    against it: wrong in both, corrected, newly wrong. Pixels without ground truth are never wrong.

    Args:
        runs: the pictures of each variant, by name, of the same samples; the first is the baseline.
        subtitle: one line about what is shown.

    Raises:
        ValueError: no run, or runs of different samples.
    """
    if not runs:
        raise ValueError("a gallery needs at least one run")
    baseline = next(iter(runs.values()))
    names = [sample.name for sample in baseline.samples]
    for variant, pictures in runs.items():
        found = [sample.name for sample in pictures.samples]
        if found != names:
            raise ValueError(f"the pictures of {variant!r} show {found}, those of the baseline {names}")
    rows: list[list[Tile]] = []
    for position in range(len(names)):
        rows += _sample_rows({variant: pictures.samples[position] for variant, pictures in runs.items()}, baseline)
    width = SMALL if baseline.samples[0].image.shape[1] <= SMALL else LARGE
    return draw_grid("Predictions", subtitle, rows, _legends(baseline, next(iter(runs))), width)


def error_map(sample: Sample, baseline: Sample | None, ignore_index: int) -> NDArray[np.uint8]:
    """Colour the wrong pixels of a prediction on the greyed image, [H, W, 3].

    Args:
        sample: the prediction to show.
        baseline: the prediction it is compared with; ``None``: every wrong pixel counts as wrong in both.
        ignore_index: ground truth that is never wrong.
    """
    wrong = _wrong(sample, ignore_index)
    before = wrong if baseline is None else _wrong(baseline, ignore_index)
    picture = faded(sample.image)
    for pixels, colour in ((wrong & before, STILL_WRONG), (~wrong & before, CORRECTED), (wrong & ~before, BROKEN)):
        picture[pixels] = colour
    return picture


def faded(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image [H, W, 3] in light greys, for colours to stand out from."""
    grey = image.mean(axis=2, keepdims=True).repeat(3, axis=2)
    return (255 - (255 - grey) * 0.35).astype(np.uint8)


def _sample_rows(by_variant: Mapping[str, Sample], pictures: Pictures) -> list[list[Tile]]:
    first = next(iter(by_variant.values()))
    above = [Tile(first.image, "image", first.name)]
    below = [Tile(colourise(first.truth, pictures.palette), "ground truth")]
    for variant, sample in by_variant.items():
        reference = None if sample is first else first
        above.append(Tile(colourise(sample.prediction, pictures.palette), variant))
        picture = error_map(sample, reference, pictures.ignore_index)
        below.append(Tile(picture, *_count_errors(sample, reference, pictures.ignore_index)))
    return [above, below]


def _count_errors(sample: Sample, baseline: Sample | None, ignore_index: int) -> tuple[str, str]:
    wrong, valid = _wrong(sample, ignore_index), max(1, int((sample.truth != ignore_index).sum()))
    caption = f"{100 * wrong.sum() / valid:.1f} % wrong"
    if baseline is None:
        return caption, ""
    before = _wrong(baseline, ignore_index)
    corrected, broken = (100 * pixels.sum() / valid for pixels in (~wrong & before, wrong & ~before))
    return caption, f"{corrected:.1f} % corrected, {broken:.1f} % new"


def _wrong(sample: Sample, ignore_index: int) -> NDArray[np.bool_]:
    return (sample.prediction != sample.truth) & (sample.truth != ignore_index)


def _legends(pictures: Pictures, baseline: str) -> Sequence[Legend]:
    errors = (
        (STILL_WRONG, f"wrong (in {baseline} too)"),
        (CORRECTED, f"wrong in {baseline}, corrected here"),
        (BROKEN, f"right in {baseline}, wrong here"),
    )
    classes = list(zip(pictures.palette, pictures.classes, strict=True))
    if any((sample.truth == pictures.ignore_index).any() for sample in pictures.samples):
        classes.append((UNLABELLED, "not labelled"))
    return Legend("Classes", tuple(classes)), Legend("Errors", errors)
