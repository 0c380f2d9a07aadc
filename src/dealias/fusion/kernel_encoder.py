# SPDX-License-Identifier: Apache-2.0
"""Kernel encoders: from a guide to the logits of one kernel per pixel, by a dense or a separable convolution."""

from __future__ import annotations

from torch import nn

from .init import init_kernel_encoder

ENCODERS = ("conv", "separable")
"""The kinds of encoders."""


def kernel_encoder(kind: str, channels: int, outputs: int, kernel_size: int, dilation: int = 1) -> nn.Module:
    """A module [B, channels, H, W] -> [B, outputs, H, W], zero border.

    Args:
        kind: ``"conv"``: one dense convolution. ``"separable"``: a depthwise convolution, then a 1x1 convolution.
        channels: channels of the guide.
        outputs: logits per pixel.
        kernel_size: side of the dense or the depthwise convolution, odd.
        dilation: of the same convolution.

    Raises:
        ValueError: unknown kind.

    >>> [sum(p.numel() for p in kernel_encoder(kind, 64, 25, 3).parameters()) for kind in ENCODERS]
    [14425, 2265]
    """
    if kind not in ENCODERS:
        raise ValueError(f"the encoder must be one of {', '.join(ENCODERS)}; got {kind!r}")
    padding = dilation * (kernel_size // 2)
    if kind == "conv":
        return nn.Conv2d(channels, outputs, kernel_size, padding=padding, dilation=dilation)
    spatial = nn.Conv2d(channels, channels, kernel_size, padding=padding, dilation=dilation, groups=channels)
    return nn.Sequential(spatial, nn.Conv2d(channels, outputs, 1))


def init_last_layer(encoder: nn.Module) -> None:
    """Let every kernel start as its window's mean; a depthwise layer in front keeps its weights, and a gradient."""
    init_kernel_encoder(encoder[-1] if isinstance(encoder, nn.Sequential) else encoder)
