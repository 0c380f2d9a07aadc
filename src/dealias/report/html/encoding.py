# SPDX-License-Identifier: Apache-2.0
"""Pictures as data URIs, so that the page needs no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dealias.report.canvas import Colour

LARGEST_SIDE = 1280
"""Larger pictures are reduced to this many pixels along their longer side."""

_PHOTO_PIXELS = 256 * 256
_JPEG_QUALITY = 88


def photo_uri(picture: NDArray[np.uint8]) -> str:
    """A picture [H, W, 3]: exactly if it is small, otherwise as JPEG."""
    image = Image.fromarray(picture)
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BOX)
    if image.width * image.height <= _PHOTO_PIXELS:
        return _encode(image, "PNG", optimize=True)
    return _encode(image, "JPEG", quality=_JPEG_QUALITY, subsampling=0)


def indexed_uri(ids: NDArray[np.uint8], colours: Sequence[Colour], clear: int | None = None) -> str:
    """A picture [H, W] of ids as an indexed PNG.

    Args:
        ids: position in ``colours``; others are black.
        colours: of the ids from 0 on.
        clear: the id that is transparent.
    """
    image = Image.fromarray(np.ascontiguousarray(ids))
    image.putpalette([channel for colour in colours for channel in colour] + [0] * (768 - 3 * len(colours)))
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.NEAREST)
    # The default compression: the strongest one takes several times as long and saves a fifth.
    return _encode(image, "PNG") if clear is None else _encode(image, "PNG", transparency=clear)


def _encode(image: Image.Image, form: str, **options: int) -> str:
    file = io.BytesIO()
    image.save(file, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
