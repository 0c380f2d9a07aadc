# SPDX-License-Identifier: Apache-2.0
"""A kind of error: what it is called, and the colour of its pixels in overlays."""

from __future__ import annotations

from dataclasses import dataclass

from .canvas import Colour


@dataclass(frozen=True)
class ErrorKind:
    """How a kind of error is called and shown; ``metric`` is its score, empty if it has none."""

    name: str
    short: str
    metric: str
    colour: Colour
    sentence: str
