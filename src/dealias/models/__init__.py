# SPDX-License-Identifier: Apache-2.0
"""Whole networks: images in, class scores of pixels or images, or objects out. Needs timm and torchvision."""

from .classification import ClassificationModel, create_classifier, rebuild_classifier
from .detection import DetectionModel
from .detectors import create_detector
from .factory import create_model, list_models, rebuild
from .panoptic import PanopticModel
from .segmentation import MIN_SIZE, SegmentationModel

__all__ = [
    "MIN_SIZE",
    "ClassificationModel",
    "DetectionModel",
    "PanopticModel",
    "SegmentationModel",
    "create_classifier",
    "create_detector",
    "create_model",
    "list_models",
    "rebuild",
    "rebuild_classifier",
]
