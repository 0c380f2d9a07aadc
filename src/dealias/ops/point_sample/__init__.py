# SPDX-License-Identifier: Apache-2.0
"""Bilinear sampling at points, by channel groups: the operator under DySample (arXiv:2308.15085) and its kin."""

from .op import point_sample
from .reference import point_sample_reference

__all__ = ["point_sample", "point_sample_reference"]
