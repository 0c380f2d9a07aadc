# SPDX-License-Identifier: Apache-2.0
"""Instruments that show aliasing: folded power of a filter, change under shifts, recall of thin objects by width."""

from __future__ import annotations

from .folding import FILTERS, BandLimit, Taps, folded_power, kept_band, zone_plate
from .shift import ShiftChange, shift_change
from .widths import WidthRecall

__all__ = [
    "FILTERS",
    "BandLimit",
    "ShiftChange",
    "Taps",
    "WidthRecall",
    "folded_power",
    "kept_band",
    "shift_change",
    "zone_plate",
]
