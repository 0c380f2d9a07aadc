# SPDX-License-Identifier: Apache-2.0
"""The part of the page about the similarity of features: fusions before and after, classes, boundaries, pictures."""

from .document import SIMILARITY_FILE
from .section import SimilaritySection, load_similarity

__all__ = ["SIMILARITY_FILE", "SimilaritySection", "load_similarity"]
