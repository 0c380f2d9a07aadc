# SPDX-License-Identifier: Apache-2.0
"""CARAFE (ICCV 2019, arXiv:1905.02188) under its published names: the operator and the upsampling module."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .. import fusion
from ..ops import kernel_normalize, reassemble


def carafe(features: Tensor, masks: Tensor, kernel_size: int, group_size: int, scale_factor: int) -> Tensor:
    """The published operator: :func:`dealias.ops.reassemble` with its published argument names and order.

    Args:
        features: [B, C, H, W].
        masks: normalised kernels, [B, group_size*kernel_size**2, H*scale_factor, W*scale_factor].
        kernel_size: side of the kernels, odd.
        group_size: number of channel groups, divides C.
        scale_factor: ratio of sizes.

    Returns:
        [B, C, H*scale_factor, W*scale_factor]; outside the map features count as 0.

    Raises:
        ValueError: the shapes do not fit together.
    """
    if masks.ndim == 4 and masks.shape[1] != group_size * kernel_size**2:
        raise ValueError(
            f"carafe: {group_size=} and {kernel_size=} need {group_size * kernel_size**2} mask channels, "
            f"got {masks.shape[1]}"
        )
    return reassemble(features, masks, group_size, scale_factor)


class CARAFEPack(nn.Module):
    """The published upsampling module: ``forward(x)`` with x [B, channels, H, W] gives [B, channels, H*s, W*s].

    Args:
        channels: channels of the map, divisible by ``up_group``.
        scale_factor: ratio s of sizes.
        up_kernel: side of the reassembly kernels, odd.
        up_group: channel groups with kernels of their own.
        encoder_kernel: side of the encoder's convolution, odd.
        encoder_dilation: dilation of the encoder's convolution.
        compressed_channels: width between the two convolutions.
    """

    def __init__(
        self,
        channels: int,
        scale_factor: int,
        up_kernel: int = 5,
        up_group: int = 1,
        encoder_kernel: int = 3,
        encoder_dilation: int = 1,
        compressed_channels: int = 64,
    ) -> None:
        super().__init__()
        self.scale_factor, self.up_kernel, self.up_group = scale_factor, up_kernel, up_group
        parts = fusion.CARAFE(
            channels,
            channels,
            kernel_size=up_kernel,
            encoder_kernel=encoder_kernel,
            encoder_dilation=encoder_dilation,
            compressed_channels=compressed_channels,
            groups=up_group,
            scale=scale_factor,
        )
        self.channel_compressor = parts.compress
        self.content_encoder = parts.encoder

    def forward(self, x: Tensor) -> Tensor:
        """Upsample x [B, channels, H, W] to [B, channels, H*scale_factor, W*scale_factor]."""
        logits = F.pixel_shuffle(self.content_encoder(self.channel_compressor(x)), self.scale_factor)
        return carafe(x, kernel_normalize(logits, self.up_kernel), self.up_kernel, self.up_group, self.scale_factor)
