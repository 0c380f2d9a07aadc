# SPDX-License-Identifier: Apache-2.0
"""Whole networks: images in, class scores of pixels or images, or objects out. Needs timm and torchvision."""

from .classification import ClassificationModel, create_classifier, rebuild_classifier
from .detection import DetectionModel
from .detectors import create_detector
from .factory import create_model, list_models, rebuild
from .mask2former import Mask2FormerModel
from .mask2former_pretrained import PretrainedMask2Former, mask2former_from_pretrained
from .panoptic import PanopticModel
from .rcnn_model import RCNNModel
from .segmentation import MIN_SIZE, SegmentationModel

__all__ = [
    "MIN_SIZE",
    "ClassificationModel",
    "DetectionModel",
    "Mask2FormerModel",
    "PanopticModel",
    "PretrainedMask2Former",
    "RCNNModel",
    "SegmentationModel",
    "create_classifier",
    "create_detector",
    "create_model",
    "list_models",
    "mask2former_from_pretrained",
    "rebuild",
    "rebuild_classifier",
]
