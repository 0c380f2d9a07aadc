# SPDX-License-Identifier: Apache-2.0
"""Colours of classes, and label maps as pictures."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from .sample import Colour, Palette

_GOLDEN_ANGLE = 0.381966
_LIGHTNESS = (0.5, 0.7, 0.35)


def default_palette(count: int) -> Palette:
    """``count`` distinct colours: hues a golden angle apart, at three levels of lightness.

    >>> len(set(default_palette(150)))
    150
    """
    return tuple(_hls(i * _GOLDEN_ANGLE % 1.0, _LIGHTNESS[i % len(_LIGHTNESS)]) for i in range(count))


def check_palette(palette: Sequence[Sequence[int]], classes: Sequence[str]) -> Palette:
    """Return ``palette`` as tuples.

    Raises:
        ValueError: not one (red, green, blue) of 0 to 255 per class.
    """
    if len(palette) != len(classes):
        raise ValueError(f"palette must have one colour for each of {len(classes)} classes, got {len(palette)}")
    for name, colour in zip(classes, palette, strict=True):
        if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
            raise ValueError(f"colour of class {name!r} must be (red, green, blue) in 0..255, got {tuple(colour)}")
    return tuple((int(red), int(green), int(blue)) for red, green, blue in palette)


def colour_labels(
    labels: np.ndarray | Tensor, palette: Sequence[Sequence[int]], ignore_colour: Colour = (0, 0, 0)
) -> np.ndarray:
    """Paint a label map.

    Args:
        labels: integer class ids, [H, W], array or tensor on any device.
        palette: one (red, green, blue) of 0 to 255 per class.
        ignore_colour: of every id without a colour of its own, so of ``ignore_index``.

    Returns:
        uint8 array, [H, W, 3].

    Raises:
        ValueError: ``labels`` is not a map of integers.

    >>> colour_labels(np.array([[0, 1, 255]]), [(9, 8, 7), (6, 5, 4)]).tolist()
    [[[9, 8, 7], [6, 5, 4], [0, 0, 0]]]
    """
    ids = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if ids.ndim != 2 or ids.dtype.kind not in "iub":
        raise ValueError(f"labels must be integers [H, W], got {ids.dtype} of shape {ids.shape}")
    table = np.array([*palette, ignore_colour], dtype=np.uint8)
    ids = ids.astype(np.int64)
    return table[np.where((ids >= 0) & (ids < len(palette)), ids, len(palette))]


def _hls(hue: float, lightness: float) -> Colour:
    red, green, blue = (round(255 * value) for value in colorsys.hls_to_rgb(hue, lightness, 0.75))
    return red, green, blue
