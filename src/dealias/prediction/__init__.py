# SPDX-License-Identifier: Apache-2.0
"""Predict image files with the network of a checkpoint: label maps and overlays, file by file."""

from .inputs import ImageFile, Inputs, find_images
from .outputs import Outputs, check_apart
from .predictor import Predictor
from .record import begin_or_resume
from .run import predict_images

__all__ = [
    "ImageFile",
    "Inputs",
    "Outputs",
    "Predictor",
    "begin_or_resume",
    "check_apart",
    "find_images",
    "predict_images",
]
