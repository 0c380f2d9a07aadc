# SPDX-License-Identifier: Apache-2.0
"""Whole networks: images in, class scores at the image's size out. Needs timm."""

from .factory import create_model, list_models, rebuild
from .segmentation import MIN_SIZE, SegmentationModel

__all__ = ["MIN_SIZE", "SegmentationModel", "create_model", "list_models", "rebuild"]
