# SPDX-License-Identifier: Apache-2.0
"""Read images as RGB and label maps as the ids that were written, whatever the file's mode.

The pixel grid is the stored one: EXIF orientation is not applied, neither to images nor to labels, since label maps are
drawn on the stored grid and carry no orientation of their own. Of a file with several frames the first is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
"""File name endings of images, in lower case."""

LABEL_SUFFIXES = (".png", ".tif", ".tiff")
"""File name endings of label maps, in lower case: the formats that keep ids exactly."""

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
"""What files may hold, whatever their names say. Pillow knows more, such as EPS, for which it starts a program."""

_INTEGER_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_IMAGE_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", *_INTEGER_MODES)
_LABEL_MODES = ("1", "L", "P", *_INTEGER_MODES)
_STRETCH = {"L;2": 85, "L;4": 17}


def open_image(path: str | Path) -> Image.Image:
    """Pillow's ``Image.open`` for :data:`FORMATS` alone; it raises what that raises."""
    return Image.open(path, formats=FORMATS)


def read_image(path: str | Path) -> Tensor:
    """Read an image as RGB.

    Gray, palette and CMYK images are converted (without colour profiles), 16-bit values are rounded to 8 bits over
    the full range 0..65535, and an alpha channel is dropped, so that the colours below it stay.

    Returns:
        uint8, [3, H, W].

    Raises:
        ValueError: naming the file: it cannot be decoded, is truncated or empty, has more pixels than twice
            ``PIL.Image.MAX_IMAGE_PIXELS``, or holds values without a defined range (float or 32-bit integer).
    """
    image, _ = _decode(path)
    if image.mode not in _IMAGE_MODES:
        raise ValueError(f"{path}: expected an image with 8 or 16 bits per channel, got mode {image.mode}")
    if image.mode in _INTEGER_MODES:
        array = _from_16_bits(np.asarray(image), path)
    else:
        # A palette with transparency loses it cleanly only by way of RGBA.
        image = image.convert("RGBA") if image.mode == "P" else image
        array = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    del image  # its pixels take more memory than the result
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


def read_labels(path: str | Path) -> Tensor:
    """Read a label map: one channel whose values are ids.

    Of a palette file these are the indices, not the colours. Files of 1, 2 or 4 bits give their ids unscaled.

    Returns:
        [H, W]: uint8 of files with up to 8 bits, int32 of others.

    Raises:
        ValueError: naming the file: it cannot be decoded, as in :func:`read_image`, or has colours, alpha or float
            values.
    """
    image, raw_mode = _decode(path)
    if image.mode not in _LABEL_MODES:
        raise ValueError(
            f"{path}: a label map must have one channel of class ids, got mode {image.mode} "
            f"(channels {', '.join(image.getbands())})"
        )
    ids = np.asarray(image)
    if image.mode in _INTEGER_MODES:
        return torch.from_numpy(ids.astype(np.int32))
    return torch.from_numpy(ids.astype(np.uint8) // _STRETCH.get(raw_mode, 1))


def _decode(path: str | Path) -> tuple[Image.Image, str]:
    """Load a file; also how its values lie there, as Pillow stretches 2 and 4-bit gray to 0..255 while it decodes."""
    try:
        with open_image(path) as image:
            tiles = getattr(image, "tile", None)  # of files, not of every image
            layout = tiles[0][3] if tiles else None
            if image.format == "TIFF":
                _check_covered(image.size, [tile[1] or (0, 0, *image.size) for tile in tiles or ()])
            image.load()
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, EOFError, ... on broken data
        raise ValueError(f"{path}: cannot be read as an image: {error}") from error
    return image, layout if isinstance(layout, str) else str(layout[0]) if layout else ""


def _check_covered(size: tuple[int, int], parts: Sequence[tuple[int, int, int, int]]) -> None:
    """Refuse an image whose stored parts do not fill it, as one of few bytes that says it has millions of rows."""
    stored = sum((right - left) * (bottom - top) for left, top, right, bottom in parts)
    if stored < size[0] * size[1]:
        raise ValueError(f"it has {stored} of {size[0]} x {size[1]} pixels")


def _from_16_bits(values: np.ndarray, path: str | Path) -> np.ndarray:
    values = values.astype(np.int32)  # a copy, changed in place below
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(
            f"{path}: expected an image with 8 or 16 bits per channel, got integers {values.min()}..{values.max()}"
        )
    values += 128
    values //= 257
    gray = values.astype(np.uint8)
    return np.repeat(gray[:, :, None], 3, axis=2)
