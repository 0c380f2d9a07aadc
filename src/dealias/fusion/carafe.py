# SPDX-License-Identifier: Apache-2.0
"""CARAFE: content-aware reassembly of features (ICCV 2019, arXiv:1905.02188)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import reassemble_softmax
from .base import Unguided
from .init import init_kernel_encoder, init_xavier


class CARAFE(Unguided):
    """Upsample ``lr`` with a kernel predicted for every output pixel from ``lr`` itself.

    Compress by a 1x1 convolution, encode ``scale**2 * k**2 * groups`` logits, shuffle them to the fine grid, normalise
    by softmax and reassemble (eq. 2-3). See :class:`~dealias.fusion.Fusion` for shapes and sizes. Zero border.

    Args:
        hr_channels: channels of ``hr``, which passes through.
        lr_channels: channels of ``lr``, divisible by ``groups``.
        kernel_size: side k of the reassembly kernels, odd.
        encoder_kernel: side of the encoder's convolution, odd.
        encoder_dilation: dilation of the encoder's convolution.
        compressed_channels: width between the two convolutions.
        groups: channel groups with kernels of their own.
        scale: ratio of sizes, at least 1.

    Raises:
        ValueError: even kernels, or ``groups`` does not divide ``lr_channels``.
    """

    def __init__(
        self,
        hr_channels: int,
        lr_channels: int,
        kernel_size: int = 5,
        encoder_kernel: int = 3,
        encoder_dilation: int = 1,
        compressed_channels: int = 64,
        groups: int = 1,
        scale: int = 2,
    ) -> None:
        super().__init__(hr_channels, lr_channels)
        if kernel_size % 2 == 0 or encoder_kernel % 2 == 0 or lr_channels % groups or scale < 1:
            raise ValueError(
                "CARAFE: kernels must be odd, scale positive and groups divide lr_channels; "
                f"got {kernel_size=}, {encoder_kernel=}, {scale=}, {groups=}, {lr_channels=}"
            )
        self.factor, self.kernel_size, self.groups = scale, kernel_size, groups
        self.compress = nn.Conv2d(lr_channels, compressed_channels, 1)
        self.encoder = nn.Conv2d(
            compressed_channels,
            kernel_size**2 * groups * scale**2,
            encoder_kernel,
            padding=encoder_dilation * (encoder_kernel // 2),
            dilation=encoder_dilation,
        )
        init_xavier(self.compress)
        init_kernel_encoder(self.encoder)

    def upsample(self, lr: Tensor, size: tuple[int, int]) -> Tensor:
        """Upsample ``lr`` [B, C, h, w] by the scale: [B, C, h*scale, w*scale]."""
        scale = self.factor or 1
        logits = F.pixel_shuffle(self.encoder(self.compress(lr)), scale)
        return reassemble_softmax(lr, logits, self.kernel_size, groups=self.groups, scale=scale)
