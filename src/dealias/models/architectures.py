# SPDX-License-Identifier: Apache-2.0
"""Every architecture: the decoder, and the auxiliary head if there is one, from the encoder's channels and a fusion."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from dealias.fusion import FusionFactory
from dealias.heads import DirectHead, FCNHead, FPNHead, PSPHead, SegFormerHead, UNetHead, UPerHead

from .segnext import segnext_head

Heads = tuple[nn.Module, nn.Module | None]


def _upernet(
    channels: tuple[int, ...],
    classes: int,
    fusion: FusionFactory,
    *,
    decoder_channels: int = 512,
    dropout: float = 0.1,
    auxiliary: bool = False,
    auxiliary_channels: int = 256,
) -> Heads:
    """UPerNet: pyramid pooling, a top-down path, and all levels merged at stride 4 (arXiv:1807.10221)."""
    # the decoder last, because the fusions inside it come last of all
    second = _second(channels, classes, auxiliary, auxiliary_channels, dropout)
    return UPerHead(channels, classes, fusion, decoder_channels, dropout), second


def _fpn(
    channels: tuple[int, ...],
    classes: int,
    fusion: FusionFactory,
    *,
    decoder_channels: int = 256,
    dropout: float = 0.1,
) -> Heads:
    """Feature pyramid: a top-down path, and prediction from its finest level, stride 4 (arXiv:1612.03144)."""
    return FPNHead(channels, classes, fusion, decoder_channels, dropout), None


def _unet(
    channels: tuple[int, ...],
    classes: int,
    fusion: FusionFactory,
    *,
    decoder_channels: int = 64,
    dropout: float = 0.1,
) -> Heads:
    """U-Net's decoder down to stride 4, ``decoder_channels`` there and twice as many per level (arXiv:1505.04597)."""
    return UNetHead(channels, classes, fusion, decoder_channels, dropout), None


def _segformer(
    channels: tuple[int, ...],
    classes: int,
    fusion: FusionFactory,
    *,
    decoder_channels: int = 256,
    dropout: float = 0.1,
) -> Heads:
    """SegFormer's all-MLP head: all levels in one width, merged at stride 4 (arXiv:2105.15203)."""
    return SegFormerHead(channels, classes, fusion, decoder_channels, dropout), None


def _direct(
    channels: tuple[int, ...],
    classes: int,
    fusion: FusionFactory,
    *,
    decoder_channels: int = 256,
    dropout: float = 0.1,
) -> Heads:
    """The coarsest level upsampled to stride 4 in one step, by a fusion for any ratio or for 8."""
    return DirectHead(channels, classes, fusion, decoder_channels, dropout), None


def _fcn(
    channels: tuple[int, ...],
    classes: int,
    unused: FusionFactory,
    *,
    decoder_channels: int = 512,
    dropout: float = 0.1,
    auxiliary: bool = False,
    auxiliary_channels: int = 256,
) -> Heads:
    """Fully convolutional network: two 3x3 convolutions on the coarsest level, dilated or not (arXiv:1411.4038)."""
    decoder = FCNHead(channels, classes, decoder_channels, level=len(channels) - 1, dropout=dropout, depth=2)
    return decoder, _second(channels, classes, auxiliary, auxiliary_channels, dropout)


def _pspnet(
    channels: tuple[int, ...],
    classes: int,
    unused: FusionFactory,
    *,
    decoder_channels: int = 512,
    dropout: float = 0.1,
    auxiliary: bool = False,
    auxiliary_channels: int = 256,
) -> Heads:
    """PSPNet: pyramid pooling on the coarsest level, dilated or not (arXiv:1612.01105)."""
    decoder = PSPHead(channels, classes, decoder_channels, dropout)
    return decoder, _second(channels, classes, auxiliary, auxiliary_channels, dropout)


def _second(channels: tuple[int, ...], classes: int, wanted: bool, width: int, dropout: float) -> FCNHead | None:
    """The auxiliary head of the published recipes, on the third level."""
    return FCNHead(channels, classes, width, dropout=dropout) if wanted else None


ARCHITECTURES: dict[str, Callable[..., Heads]] = {
    "upernet": _upernet,
    "fpn": _fpn,
    "unet": _unet,
    "segformer": _segformer,
    "segnext": segnext_head,
    "direct": _direct,
    "fcn": _fcn,
    "pspnet": _pspnet,
}
"""Every architecture by name: ``(channels, classes, fusion, **options) -> (decoder, auxiliary head or None)``."""

ONE_LEVEL = ("fcn", "pspnet")
"""Those whose decoder works on the coarsest level alone, at any stride, and has no place for a fusion."""
