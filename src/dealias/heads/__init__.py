# SPDX-License-Identifier: Apache-2.0
"""Heads: a pyramid of features in, class scores at a quarter of the image's size out; any fusion inside."""

from .blocks import Classifier, ConvNormAct, NormFactory, resize
from .fcn import FCNHead
from .fpn import FPNHead
from .upernet import PyramidPooling, UPerHead

__all__ = [
    "Classifier",
    "ConvNormAct",
    "FCNHead",
    "FPNHead",
    "NormFactory",
    "PyramidPooling",
    "UPerHead",
    "resize",
]
