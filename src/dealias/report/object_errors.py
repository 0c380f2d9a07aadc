# SPDX-License-Identifier: Apache-2.0
"""Wrong pixels of predicted objects by what is wrong, each kind with its colour, on the faded image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .error_kind import ErrorKind
from .gallery import faded

MISSED, FALSE, CLASS, INSTANCE = 1, 2, 3, 4
"""Ids of the kinds; 0: right, or not counted."""

OBJECT_ERRORS = (
    ErrorKind(
        "Missed object",
        "missed",
        "",
        (0, 114, 178),
        "The ground truth has an object here and the prediction has none: it was not found, or cut off.",
    ),
    ErrorKind(
        "False object",
        "false",
        "",
        (213, 94, 0),
        "The prediction has an object here and the ground truth has none: it is not there, or too large.",
    ),
    ErrorKind(
        "Wrong class",
        "class",
        "",
        (240, 196, 0),
        "Both have an object here, or both have none, but what they say it is differs.",
    ),
    ErrorKind(
        "Wrong instance",
        "instance",
        "",
        (90, 82, 110),
        "An object of the right class, but not the one that fits best: two became one here, or one fell into parts.",
    ),
)
"""In the order of the ids 1 to 4."""


def draw_object_errors(image: NDArray[np.uint8], kinds: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image [H, W, 3], faded, with the pixels of each kind of error [H, W] in its colour."""
    picture = faded(image)
    for number, kind in enumerate(OBJECT_ERRORS, start=1):
        picture[kinds == number] = kind.colour
    return picture


def error_shares(picture: NDArray[np.uint8]) -> tuple[float, ...]:
    """Share of the pixels of each kind in a picture [H, W, 3] of :func:`draw_object_errors`.

    >>> error_shares(draw_object_errors(np.zeros((1, 4, 3), np.uint8), np.array([[1, 0, 1, 4]], np.uint8)))
    (0.5, 0.0, 0.0, 0.25)
    """
    return tuple(float((picture == kind.colour).all(axis=2).mean()) for kind in OBJECT_ERRORS)
