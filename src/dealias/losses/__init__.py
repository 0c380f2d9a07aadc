# SPDX-License-Identifier: Apache-2.0
"""Losses of dense prediction."""

from dealias.losses.cross_entropy import SegmentationLoss, cross_entropy
from dealias.losses.high_frequency import SemanticHighFrequencyLoss, semantic_high_frequency_loss

__all__ = ["SegmentationLoss", "SemanticHighFrequencyLoss", "cross_entropy", "semantic_high_frequency_loss"]
