# SPDX-License-Identifier: Apache-2.0
"""Analyse the aliasing of a network on images: which layers, at which frequencies, where, and whether it matters."""

from .measure import measure_network
from .pictures import save_maps
from .result import ANALYSIS_FILE, Analysis, write_analysis

__all__ = ["ANALYSIS_FILE", "Analysis", "measure_network", "save_maps", "write_analysis"]
