# SPDX-License-Identifier: Apache-2.0
"""Whole networks: images in, class scores of pixels or images, or objects out. Needs timm and torchvision."""

from .checkpointing import checkpoint_activations_
from .classification import ClassificationModel, create_classifier, rebuild_classifier
from .detection import DetectionModel
from .detectors import create_detector
from .factory import create_model, list_models, rebuild
from .files import read_model_file, write_model_file
from .mask2former import Mask2FormerModel
from .mask2former_pretrained import PretrainedMask2Former, mask2former_from_pretrained
from .model_card import CardFacts
from .panoptic import PanopticModel
from .part_files import PARTS, read_part_file, write_part_file
from .rcnn_model import RCNNModel
from .segmentation import MIN_SIZE, SegmentationModel

__all__ = [
    "MIN_SIZE",
    "PARTS",
    "CardFacts",
    "ClassificationModel",
    "DetectionModel",
    "Mask2FormerModel",
    "PanopticModel",
    "PretrainedMask2Former",
    "RCNNModel",
    "SegmentationModel",
    "checkpoint_activations_",
    "create_classifier",
    "create_detector",
    "create_model",
    "list_models",
    "mask2former_from_pretrained",
    "read_model_file",
    "read_part_file",
    "rebuild",
    "rebuild_classifier",
    "write_model_file",
    "write_part_file",
]
