# SPDX-License-Identifier: Apache-2.0
"""A scale of colours for quantities from none to much."""

from __future__ import annotations

import numpy as np

from dealias.report.canvas import Colour

_STOPS: tuple[Colour, ...] = (
    (8, 6, 28),
    (70, 24, 108),
    (164, 44, 104),
    (236, 104, 62),
    (252, 186, 72),
    (254, 248, 200),
)


def heat_colours(count: int = 256) -> list[Colour]:
    """A scale of colours from nearly black to nearly white whose lightness grows evenly."""
    places = np.linspace(0, len(_STOPS) - 1, count)
    channels = [np.interp(places, range(len(_STOPS)), [stop[channel] for stop in _STOPS]) for channel in range(3)]
    return [(int(red), int(green), int(blue)) for red, green, blue in np.rint(channels).T]


def heat_stops(count: int = 11) -> tuple[str, ...]:
    """Some of the colours, as style sheets write them."""
    return tuple("#{:02x}{:02x}{:02x}".format(*colour) for colour in heat_colours(count))
