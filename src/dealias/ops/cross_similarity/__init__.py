# SPDX-License-Identifier: Apache-2.0
"""Similarity of fine pixels to the coarse pixels around them (SAPA, arXiv:2209.12866)."""

from .op import cross_similarity
from .reference import cross_similarity_reference

__all__ = ["cross_similarity", "cross_similarity_reference"]
