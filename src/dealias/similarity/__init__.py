# SPDX-License-Identifier: Apache-2.0
"""Analyse how well the features of a network keep classes apart near edges, before and after each of its fusions."""

from .measure import SimilarityAnalysis, measure_similarity
from .pictures import save_features
from .result import SIMILARITY_FILE, write_similarity

__all__ = ["SIMILARITY_FILE", "SimilarityAnalysis", "measure_similarity", "save_features", "write_similarity"]
