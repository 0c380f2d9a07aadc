# SPDX-License-Identifier: Apache-2.0
"""Losses of dense prediction."""

from dealias.losses.cross_entropy import SegmentationLoss, cross_entropy

__all__ = ["SegmentationLoss", "cross_entropy"]
