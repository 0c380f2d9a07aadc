# SPDX-License-Identifier: Apache-2.0
"""Prefilters: a map filtered before a stride, same size out, one method per file, all behind one interface."""

from .aa_layer import as_aa_layer
from .adaptive_blur import AdaptiveBlur
from .base import Prefilter
from .blur import Blur
from .dealiasing import DeAliasingFilter
from .flc import FrequencyLowCut, crop_spectrum
from .identity import Identity
from .registry import PREFILTERS, create_prefilter, list_prefilters
from .surgery import AntialiasReport, antialias_, remove_antialias_

__all__ = [
    "PREFILTERS",
    "AdaptiveBlur",
    "AntialiasReport",
    "Blur",
    "DeAliasingFilter",
    "FrequencyLowCut",
    "Identity",
    "Prefilter",
    "antialias_",
    "as_aa_layer",
    "create_prefilter",
    "crop_spectrum",
    "list_prefilters",
    "remove_antialias_",
]
