# SPDX-License-Identifier: Apache-2.0
"""Weighted sums over bilinear samples at moved taps: the operator of DCNv3 (InternImage, arXiv:2211.05778)."""

from .op import deformable_aggregation
from .reference import deformable_aggregation_reference

__all__ = ["deformable_aggregation", "deformable_aggregation_reference"]
