# SPDX-License-Identifier: Apache-2.0
"""Fusions: ``(hr, lr) -> (hr', lr_up)``, one method per file, all behind one interface."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .a2u import A2U
from .base import Fusion, FusionFactory, Unguided
from .carafe import CARAFE
from .deconv import Deconv
from .dysample import DySample, DySamplePlus, DySampleSPlus
from .fade import FADE
from .freqfusion import FreqFusion
from .freqfusion_variants import DSCONV_FF, DWT_FF
from .guided_attention import GuidedAttention
from .indexnet import IndexNet
from .interpolation import Bilinear, Nearest
from .pixel_shuffle import PixelShuffle
from .sapa import SAPA

__all__ = [
    "A2U",
    "CARAFE",
    "FADE",
    "FUSIONS",
    "SAPA",
    "Bilinear",
    "Deconv",
    "DySample",
    "DySamplePlus",
    "DySampleSPlus",
    "FreqFusion",
    "Fusion",
    "FusionFactory",
    "GuidedAttention",
    "IndexNet",
    "Nearest",
    "PixelShuffle",
    "Unguided",
    "create_fusion",
    "list_fusions",
]

FUSIONS: dict[str, Callable[..., Fusion]] = {
    "nearest": Nearest,
    "bilinear": Bilinear,
    "deconv": Deconv,
    "pixel_shuffle": PixelShuffle,
    "carafe": CARAFE,
    "indexnet": IndexNet,
    "a2u": A2U,
    "fade": FADE,
    "sapa": SAPA,
    "dysample": DySample,
    "dysample+": DySamplePlus,
    "dysample-s+": DySampleSPlus,
    "freqfusion": FreqFusion,
    "dsconv-ff": DSCONV_FF,
    "dwt-ff": DWT_FF,
    "guided_attention": GuidedAttention,
}
"""Every fusion by name."""


def list_fusions() -> list[str]:
    """The names that :func:`create_fusion` knows.

    >>> "freqfusion" in list_fusions()
    True
    """
    return list(FUSIONS)


def create_fusion(name: str, hr_channels: int, lr_channels: int, **options: Any) -> Fusion:
    """Build a fusion by name; without options it is the paper's published configuration.

    Args:
        name: one of :func:`list_fusions`.
        hr_channels: channels of the fine map.
        lr_channels: channels of the coarse map.
        options: the method's own options, as in its class.

    Raises:
        ValueError: unknown name or option; the message lists the known ones.

    >>> sum(p.numel() for p in create_fusion("freqfusion", 256, 256, compressed_channels=64).parameters())
    104690
    """
    if name not in FUSIONS:
        raise ValueError(f"unknown fusion {name!r}; known: {', '.join(FUSIONS)}")
    method = FUSIONS[name]
    accepted = [p for p in inspect.signature(method).parameters if p not in ("hr_channels", "lr_channels")]
    unknown = sorted(set(options) - set(accepted))
    if unknown:
        options_text = ", ".join(accepted) or "none"
        raise ValueError(f"fusion {name!r} has no option {', '.join(unknown)}; it accepts: {options_text}")
    return method(hr_channels, lr_channels, **options)
