# SPDX-License-Identifier: Apache-2.0
"""Ideal low-pass of feature maps and what it needs: masks, projections, sampling rates (arXiv:2403.09065)."""

from .band import kept_band
from .op import low_pass
from .projection import Projection, projection
from .rate import equivalent_sampling_rate
from .reference import low_pass_reference

__all__ = ["Projection", "equivalent_sampling_rate", "kept_band", "low_pass", "low_pass_reference", "projection"]
