# SPDX-License-Identifier: Apache-2.0
"""Which frequencies of an axis a low-pass mask keeps: the one place where the masks are defined."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_SLACK = 1e-9
"""Cycles per axis that a frequency may lie above the cut-off: k/n equal to it is kept, however it was rounded."""


def kept_band(size: int, cutoff: float, released: bool = False) -> tuple[int, int]:
    """The first kept DFT frequency of an axis and the number of kept ones, which are consecutive.

    Frequencies count in cycles per axis, from ``-(size // 2)``; all of them are kept at most once.

    - symmetric: every k with ``|k| <= cutoff * size``, so that k/size equal to the cut-off is kept;
    - released (the published code of arXiv:2403.09065): places ``round(size/2 - size*cutoff)`` up to, but without,
      ``round(size/2 + size*cutoff)`` of the shifted spectrum, halves rounded to even. Even sizes keep one negative
      frequency without its positive partner, and a small cut-off keeps nothing at all.

    Args:
        size: samples of the axis, at least 1.
        cutoff: cycles per sample, 0-0.5.
        released: the published mask.

    >>> kept_band(10, 0.3), kept_band(10, 0.3, released=True)
    ((-3, 7), (-3, 6))
    """
    if released:
        first, end = (round(size / 2 + sign * (size * cutoff)) for sign in (-1, 1))
        return first - size // 2, end - first
    highest = math.floor(size * cutoff + _SLACK)
    both_signs_of_nyquist = 2 * highest // size  # 1 for an even size kept whole, 0 otherwise: they are one frequency
    return -highest, 2 * highest + 1 - both_signs_of_nyquist


def traced_band(size: int, cutoff: float, released: bool, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """What :func:`kept_band` gives, for a size that may be symbolic, as whole numbers in float64 of no dimension.

    Rounding a symbolic size outside of the graph would limit the graph to sizes of a certain remainder.
    """
    length = torch.full((), size, dtype=torch.float64, device=device)
    if released:
        first, end = (torch.round(length / 2 + sign * (length * cutoff)) for sign in (-1, 1))
        return first - size // 2, end - first
    highest = torch.floor(length * cutoff + _SLACK)
    return -highest, 2 * highest + 1 - torch.floor(2 * highest / length)


def axis_mask(size: int, cutoff: float, released: bool, device: torch.device) -> Tensor:
    """Which frequencies of an axis are kept, in the order of an unshifted transform: bool [size]."""
    first, count = kept_band(size, cutoff, released)
    shifted = torch.arange(size, device=device) - size // 2
    return torch.fft.ifftshift((shifted >= first) & (shifted < first + count))


def check_cutoff(cutoff: float, name: str) -> None:
    """Raise unless ``cutoff`` is a frequency of a sampled signal.

    Args:
        cutoff: cycles per sample.
        name: what the message starts with.

    Raises:
        ValueError: it is outside 0-0.5.
    """
    if not 0 <= cutoff <= 0.5:
        raise ValueError(f"{name}: cutoff must be 0-0.5 cycles per sample, got {cutoff}")
