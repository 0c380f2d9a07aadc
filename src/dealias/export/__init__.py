# SPDX-License-Identifier: Apache-2.0
"""Networks as files that run without dealias: ONNX, ``torch.export`` programs, compiled packages."""

from .check import SizeCheck, check_sizes, tolerance_of
from .formats import FORMATS, format_of, open_exported, write_exported
from .program import DTYPES, SMALLEST, trace

__all__ = [
    "DTYPES",
    "FORMATS",
    "SMALLEST",
    "SizeCheck",
    "check_sizes",
    "format_of",
    "open_exported",
    "tolerance_of",
    "trace",
    "write_exported",
]
