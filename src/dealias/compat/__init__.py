# SPDX-License-Identifier: Apache-2.0
"""The published modules' names, signatures, return values and state-dict keys, over this library's own parts.

A project that uses the published code changes an import line and loads its weights with ``strict=True``.
"""

from .carafe import CARAFEPack, carafe
from .freqfusion import FreqFusion, LocalSimGuidedSampler, compute_similarity

__all__ = ["CARAFEPack", "FreqFusion", "LocalSimGuidedSampler", "carafe", "compute_similarity"]
