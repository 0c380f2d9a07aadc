# SPDX-License-Identifier: Apache-2.0
"""Analyse what the modulations of a network do: where they put samples, and what survives the strides after them."""

from .measure import ResamplingAnalysis, measure_modulation, modulation_strides
from .pictures import save_stages
from .result import MODULATION_FILE, write_modulation

__all__ = [
    "MODULATION_FILE",
    "ResamplingAnalysis",
    "measure_modulation",
    "modulation_strides",
    "save_stages",
    "write_modulation",
]
