# SPDX-License-Identifier: Apache-2.0
"""Transposed convolution, the learned upsampler of fully convolutional networks (CVPR 2015, arXiv:1411.4038)."""

from __future__ import annotations

from torch import Tensor, nn

from .base import Unguided


class Deconv(Unguided):
    """Upsample ``lr`` twice by a 3x3 transposed convolution of stride 2.

    Input pixel i is spread over output pixels 2i - 1 to 2i + 1, so that even outputs see one input pixel per axis and
    odd ones two: the known checkerboard. See :class:`~dealias.fusion.Fusion` for shapes and sizes. Zero border.

    Args:
        hr_channels: channels of ``hr``, which passes through.
        lr_channels: channels of ``lr``.
    """

    factor = 2

    def __init__(self, hr_channels: int, lr_channels: int) -> None:
        super().__init__(hr_channels, lr_channels)
        self.spread = nn.ConvTranspose2d(lr_channels, lr_channels, 3, stride=2, padding=1, output_padding=1)

    def upsample(self, lr: Tensor, size: tuple[int, int]) -> Tensor:
        """Upsample ``lr`` [B, C, h, w] to [B, C, 2h, 2w]."""
        return self.spread(lr)
