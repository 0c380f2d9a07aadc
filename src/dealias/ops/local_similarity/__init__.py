# SPDX-License-Identifier: Apache-2.0
"""Similarity of every pixel to its neighbours (FreqFusion, arXiv:2408.12879, offset generator)."""

from .op import local_similarity
from .reference import local_similarity_reference

__all__ = ["local_similarity", "local_similarity_reference"]
