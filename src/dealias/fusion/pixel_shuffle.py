# SPDX-License-Identifier: Apache-2.0
"""Sub-pixel convolution (CVPR 2016, arXiv:1609.05158)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .base import Unguided
from .init import init_xavier


class PixelShuffle(Unguided):
    """Upsample ``lr`` twice: a 3x3 convolution to 4 C channels, rearranged into 2x2 output pixels.

    See :class:`~dealias.fusion.Fusion` for shapes and sizes. Zero border.

    Args:
        hr_channels: channels of ``hr``, which passes through.
        lr_channels: channels of ``lr``.
    """

    factor = 2

    def __init__(self, hr_channels: int, lr_channels: int) -> None:
        super().__init__(hr_channels, lr_channels)
        self.expand = nn.Conv2d(lr_channels, 4 * lr_channels, 3, padding=1)
        init_xavier(self.expand)

    def upsample(self, lr: Tensor, size: tuple[int, int]) -> Tensor:
        """Upsample ``lr`` [B, C, h, w] to [B, C, 2h, 2w]."""
        return F.pixel_shuffle(self.expand(lr), 2)
