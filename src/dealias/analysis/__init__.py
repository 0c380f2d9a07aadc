# SPDX-License-Identifier: Apache-2.0
"""Instruments that show aliasing: in the layers of a network, in a filter, and in what a network answers.

In layers: sampling rates, scores, spectra and maps of feature maps, how well features keep classes apart near edges,
and probes that measure both in any network. In a filter: folded power. In answers: change under shifts, recall of thin
objects by width. In modulated networks: what survives a stride on a warped grid, and where samples are dense.
"""

from __future__ import annotations

from .correlation import Correlation, correlate
from .directions import compact_directions, direction_colours
from .folding import FILTERS, BandLimit, Taps, folded_power, kept_band, zone_plate
from .label_regions import RegionRule
from .layer_aliasing import LayerAliasing
from .layer_maps import LayerError, MapPair, feature_maps, maps_of_call
from .maps import aliasing_maps
from .modulation import RoundTrip, compose_warps, round_trip, sampling_density
from .modulation_measure import BoundaryRule, Spread, StageModulation, along_boundaries
from .modulation_probe import ModulationProbe, StageMaps, modulation_maps
from .probe import AliasingProbe
from .sampling_rate import equivalent_sampling_rate
from .score import aliasing_map, aliasing_score
from .shift import ShiftChange, shift_change
from .similarity import feature_similarity
from .similarity_probe import MapSimilarity, SimilarityProbe
from .similarity_result import ClassSimilarity, FeatureSimilarity
from .spectra import power_spectrum, radial_spectrum
from .widths import WidthRecall

__all__ = [
    "FILTERS",
    "AliasingProbe",
    "BandLimit",
    "BoundaryRule",
    "ClassSimilarity",
    "Correlation",
    "FeatureSimilarity",
    "LayerAliasing",
    "LayerError",
    "MapPair",
    "MapSimilarity",
    "ModulationProbe",
    "RegionRule",
    "RoundTrip",
    "ShiftChange",
    "SimilarityProbe",
    "Spread",
    "StageMaps",
    "StageModulation",
    "Taps",
    "WidthRecall",
    "aliasing_map",
    "aliasing_maps",
    "aliasing_score",
    "along_boundaries",
    "compact_directions",
    "compose_warps",
    "correlate",
    "direction_colours",
    "equivalent_sampling_rate",
    "feature_maps",
    "feature_similarity",
    "folded_power",
    "kept_band",
    "maps_of_call",
    "modulation_maps",
    "power_spectrum",
    "radial_spectrum",
    "round_trip",
    "sampling_density",
    "shift_change",
    "zone_plate",
]
