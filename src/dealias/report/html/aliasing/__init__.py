# SPDX-License-Identifier: Apache-2.0
"""The part of the page about an analysis of aliasing: layers, spectra, places in the image, and errors."""

from .document import ANALYSIS_FILE
from .section import AliasingSection, load_section

__all__ = ["ANALYSIS_FILE", "AliasingSection", "load_section"]
