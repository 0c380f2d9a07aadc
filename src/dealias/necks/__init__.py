# SPDX-License-Identifier: Apache-2.0
"""Necks: a pyramid of features in, a pyramid of one width out."""

from .pyramid import FeaturePyramid, StridedLevels, SubsampledLevel
from .top_down import TopDown, TopDownPath

__all__ = ["FeaturePyramid", "StridedLevels", "SubsampledLevel", "TopDown", "TopDownPath"]
