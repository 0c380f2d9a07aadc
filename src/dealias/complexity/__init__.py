# SPDX-License-Identifier: Apache-2.0
"""What networks and fusions cost: parameters, operations, activation memory and time."""

from .flops import count_flops, register_flop_formulas
from .fusions import FusionCost, FusionTable, measure_fusions
from .latency import median_seconds
from .measure import Complexity, Cost, measure_call, measure_network
from .memory import kept_bytes, peak_bytes, silence_profiler
from .parts import Part, find_parts, watching

__all__ = [
    "Complexity",
    "Cost",
    "FusionCost",
    "FusionTable",
    "Part",
    "count_flops",
    "find_parts",
    "kept_bytes",
    "measure_call",
    "measure_fusions",
    "measure_network",
    "median_seconds",
    "peak_bytes",
    "register_flop_formulas",
    "silence_profiler",
    "watching",
]
