# SPDX-License-Identifier: Apache-2.0
"""Heads: a pyramid of features in, class scores on the grid of the finest level they use out; any fusion inside."""

from .blocks import Classifier, ConvNormAct, NormFactory, resize
from .concatenation import Growing, Straight, concatenation, interleave
from .direct import DirectHead
from .fcn import FCNHead
from .fpn import FPNHead
from .ham import Hamburger, HamHead, group_norm
from .nmf import NMF
from .segformer import SegFormerHead
from .unet import UNetHead
from .upernet import PyramidPooling, UPerHead

__all__ = [
    "NMF",
    "Classifier",
    "ConvNormAct",
    "DirectHead",
    "FCNHead",
    "FPNHead",
    "Growing",
    "HamHead",
    "Hamburger",
    "NormFactory",
    "PyramidPooling",
    "SegFormerHead",
    "Straight",
    "UNetHead",
    "UPerHead",
    "concatenation",
    "group_norm",
    "interleave",
    "resize",
]
