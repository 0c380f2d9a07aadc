# SPDX-License-Identifier: Apache-2.0
"""The published modules' names, signatures, return values and state-dict keys, over this library's own parts.

A project that uses the published code changes an import line and loads its weights with ``strict=True``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .a2u import A2U, InterChannelUpDown, bidownsample_naive, biupsample_naive
from .carafe import CARAFEPack, carafe
from .downsample import Downsample, Downsample_PASA_group_softmax, FLC_Pooling
from .dysample import DySample
from .fade import FADE, FADEHighToLow, FADELite, SemiShiftUp
from .freqfusion import FreqFusion
from .freqfusion_neck import FreqFusionCARAFEFPN
from .freqfusion_variants import FreqFusionDSConv, FreqFusionDWT
from .freqmix import FrequencyMix, NyBottleneck
from .indexnet import (
    DepthwiseM2OIndexBlock,
    DepthwiseO2OIndexBlock,
    DoubleSigmoidIndexNet,
    HolisticIndexBlock,
    IndexedUpsamlping,
    index_pool,
)
from .published import load_published
from .sapa import SAPA, SAPAExp
from .similarity_sampler import LocalSimGuidedSampler, compute_similarity
from .torchvision_detectors import load_torchvision_

if TYPE_CHECKING:
    from .dcnv3 import DCNv3, dcnv3_core_pytorch

__all__ = [
    "A2U",
    "FADE",
    "SAPA",
    "CARAFEPack",
    "DCNv3",
    "DepthwiseM2OIndexBlock",
    "DepthwiseO2OIndexBlock",
    "DoubleSigmoidIndexNet",
    "Downsample",
    "Downsample_PASA_group_softmax",
    "DySample",
    "FADEHighToLow",
    "FADELite",
    "FLC_Pooling",
    "FreqFusion",
    "FreqFusionCARAFEFPN",
    "FreqFusionDSConv",
    "FreqFusionDWT",
    "FrequencyMix",
    "HolisticIndexBlock",
    "IndexedUpsamlping",
    "InterChannelUpDown",
    "LocalSimGuidedSampler",
    "NyBottleneck",
    "SAPAExp",
    "SemiShiftUp",
    "bidownsample_naive",
    "biupsample_naive",
    "carafe",
    "compute_similarity",
    "dcnv3_core_pytorch",
    "index_pool",
    "load_published",
    "load_torchvision_",
]

_WITH_TIMM = {"DCNv3": ".dcnv3", "dcnv3_core_pytorch": ".dcnv3"}


def __getattr__(name: str) -> object:
    """The names that need more than torch, loaded when they are first asked for."""
    if name not in _WITH_TIMM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WITH_TIMM[name], __name__), name)
