# SPDX-License-Identifier: Apache-2.0
"""The part of the page about modulation: stages, spectra before and after, boundaries, and pictures of it."""

from .document import MODULATION_FILE
from .section import ModulationSection, load_modulation

__all__ = ["MODULATION_FILE", "ModulationSection", "load_modulation"]
