# SPDX-License-Identifier: Apache-2.0
"""Heads: a pyramid of features in, class scores on the grid of the finest level they use out; any fusion inside."""

from .blocks import Classifier, ConvNormAct, NormFactory, resize
from .concatenation import Growing, Straight, concatenation, interleave
from .direct import DirectHead
from .fcn import FCNHead
from .fpn import FPNHead
from .ham import Hamburger, HamHead, group_norm
from .head import Head
from .nmf import NMF
from .panoptic_merge import MergeSettings, merge_panoptic
from .psp import PSPHead
from .segformer import SegFormerHead
from .semantic_fpn import SemanticFPNHead
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
    "Head",
    "MergeSettings",
    "NormFactory",
    "PSPHead",
    "PyramidPooling",
    "SegFormerHead",
    "SemanticFPNHead",
    "Straight",
    "UNetHead",
    "UPerHead",
    "concatenation",
    "group_norm",
    "interleave",
    "merge_panoptic",
    "resize",
]
