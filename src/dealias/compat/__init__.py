# SPDX-License-Identifier: Apache-2.0
"""The published modules' names, signatures, return values and state-dict keys, over this library's own parts.

A project that uses the published code changes an import line and loads its weights with ``strict=True``.
"""

from .a2u import A2U, InterChannelUpDown, bidownsample_naive, biupsample_naive
from .carafe import CARAFEPack, carafe
from .downsample import Downsample, Downsample_PASA_group_softmax, FLC_Pooling
from .dysample import DySample
from .fade import FADE, FADEHighToLow, FADELite, SemiShiftUp
from .freqfusion import FreqFusion
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

__all__ = [
    "A2U",
    "FADE",
    "SAPA",
    "CARAFEPack",
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
    "index_pool",
    "load_published",
]
