# SPDX-License-Identifier: Apache-2.0
"""Where predictions go and what they look like: label maps as palette PNGs, overlays as JPEGs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dealias._files import replacing
from dealias.data.colours import colour_labels

from .inputs import Inputs

PALETTE_SIZE = 256
_JPEG_QUALITY = 92
_BLEND_ROWS = 256
"""Rows that are blended at a time, for the sake of memory."""


@dataclass(frozen=True)
class Outputs:
    """Files of a prediction: ``<folder>/labels/<name>.png`` and ``<folder>/overlays/<name>.jpg``.

    Args:
        folder: of the prediction.
        overlays: whether overlays are wanted.
    """

    folder: Path
    overlays: bool = True

    @property
    def folders(self) -> list[Path]:
        """Where files are written."""
        return [self.folder / "labels", *([self.folder / "overlays"] if self.overlays else [])]

    def files(self, name: str) -> list[Path]:
        """All files of an image, the label map first."""
        endings = (".png", ".jpg")
        return [folder / f"{name}{ending}" for folder, ending in zip(self.folders, endings, strict=False)]

    def are_complete(self, name: str) -> bool:
        """Whether all files of an image are there; as each appears whole, they are good."""
        return all(path.is_file() for path in self.files(name))

    def write(self, name: str, image: np.ndarray, labels: np.ndarray, palette: Sequence[Sequence[int]]) -> None:
        """Write those files of an image that are not there.

        Args:
            name: of the image.
            image: uint8, [H, W, 3].
            labels: class ids, uint8 or, of more than 256 classes, uint16, [H, W].
            palette: one (red, green, blue) of 0 to 255 per class.
        """
        label_file, *overlay_files = self.files(name)
        if not label_file.exists():
            write_label_map(label_file, labels, palette)
        for path in overlay_files:
            if not path.exists():
                write_overlay(path, blend(image, labels, palette))


def check_apart(inputs: Inputs, outputs: Outputs) -> None:
    """Check that no output can replace an input, and that none would be an input of the next prediction.

    Raises:
        ValueError: outputs go to a folder that was searched for images, or images are where outputs go.
    """
    for folder in outputs.folders:
        written = folder.resolve()
        for searched in inputs.searched:
            if written.is_relative_to(searched.resolve()):
                raise ValueError(f"{folder}: outputs would be among the images in {searched}; choose another --out")
        for image in inputs.images:
            if image.path.resolve().is_relative_to(written):
                raise ValueError(f"{image.path} is in {folder}, where outputs would be written; choose another --out")


def write_label_map(path: Path, labels: np.ndarray, palette: Sequence[Sequence[int]]) -> None:
    """Write class ids as a PNG of one channel, replaced as a whole.

    Of up to 256 classes it has 8 bits and a palette: pixel values are the ids, and viewers show the classes' colours.
    (OpenCV shows them too, where other readers give the ids.) Of more classes it has 16 bits of gray.
    """
    picture = Image.fromarray(labels)
    if len(palette) <= PALETTE_SIZE:
        colours = np.zeros(
            (PALETTE_SIZE, 3), np.uint8
        )  # a whole palette, as Pillow packs fewer colours into fewer bits
        colours[: len(palette)] = palette
        picture.putpalette(colours.tobytes())
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def write_overlay(path: Path, picture: np.ndarray) -> None:
    """Write RGB pixels, uint8 [H, W, 3], as a JPEG with full colour resolution, replaced as a whole."""
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, format="JPEG", quality=_JPEG_QUALITY, subsampling=0)


def blend(image: np.ndarray, labels: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
    """The mean of an image and the colours of its labels, uint8 [H, W, 3].

    >>> blend(np.full((1, 2, 3), 100, np.uint8), np.array([[0, 1]]), [(0, 0, 0), (255, 100, 20)]).tolist()
    [[[50, 50, 50], [178, 100, 60]]]
    """
    picture = np.empty(image.shape, np.uint8)
    for first in range(0, len(image), _BLEND_ROWS):
        rows = slice(first, first + _BLEND_ROWS)
        total = image[rows].astype(np.uint16) + colour_labels(labels[rows], palette)
        picture[rows] = (total + 1) // 2
    return picture
