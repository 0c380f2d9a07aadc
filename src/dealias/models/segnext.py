# SPDX-License-Identifier: Apache-2.0
"""SegNeXt (arXiv:2209.08575) and SegNeXt + FreqFusion (arXiv:2408.12879): their head, and their fusion's options."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from dealias.fusion import Fusion, FusionFactory, create_fusion
from dealias.heads import NMF, HamHead

_FREQFUSIONS = ("freqfusion", "dsconv-ff", "dwt-ff")


def segnext_head(
    channels: tuple[int, ...],
    classes: int,
    fusion: FusionFactory,
    *,
    decoder_channels: int = 256,
    dropout: float = 0.1,
    decomposition_options: Mapping[str, Any] | None = None,
) -> tuple[HamHead, None]:
    """SegNeXt: strides 8, 16 and 32 concatenated at stride 8, global context by Hamburger (arXiv:2209.08575)."""
    options = dict(decomposition_options or {})
    accepted = [p for p in inspect.signature(NMF).parameters if p != "channels"]
    if unknown := sorted(set(options) - set(accepted)):
        raise ValueError(f"the decomposition has no option {', '.join(unknown)}; it accepts: {', '.join(accepted)}")
    decomposition = NMF(decoder_channels, **options)
    return HamHead(channels[1:], classes, fusion, decoder_channels, dropout, decomposition=decomposition), None


def guide_channels(hr_channels: int, lr_channels: int) -> int:
    """Channels of FreqFusion's guides in SegNeXt: a quarter of both maps' channels, in whole eights, at least 16.

    >>> guide_channels(160, 256), guide_channels(64, 416)
    (104, 120)
    """
    return max(16, round((hr_channels + lr_channels) / 32) * 8)


def segnext_fusion(name: str, hr_channels: int, lr_channels: int, **options: Any) -> Fusion:
    """A fusion by name, FreqFusion and its variants with the options of the published SegNeXt + FreqFusion.

    These are :func:`guide_channels`, no window, and ``direction_feat="sim"``.

    Args:
        name: one of :func:`dealias.fusion.list_fusions`.
        hr_channels: channels of the fine map.
        lr_channels: channels of the coarse map.
        options: of the fusion; they go before.
    """
    if name in _FREQFUSIONS:
        guide = guide_channels(hr_channels, lr_channels)
        options = {"compressed_channels": guide, "hamming_window": False, "direction_feat": "sim"} | options
    return create_fusion(name, hr_channels, lr_channels, **options)
