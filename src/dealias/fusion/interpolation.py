# SPDX-License-Identifier: Apache-2.0
"""Fixed interpolation, the baseline of every comparison: nearest and bilinear, any sizes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from .base import Unguided


class Nearest(Unguided):
    """Nearest-neighbour interpolation to the size of ``hr``: output pixel i copies ``lr`` at ``floor(i * h / H)``.

    See :class:`~dealias.fusion.Fusion` for shapes. No parameters; any ratio of sizes.
    """

    def upsample(self, lr: Tensor, size: tuple[int, int]) -> Tensor:
        """Resample ``lr`` [B, C, h, w] to [B, C, *size]."""
        return F.interpolate(lr, size=size, mode="nearest")


class Bilinear(Unguided):
    """Bilinear interpolation to the size of ``hr`` (half-pixel centres, ``align_corners=False``, border pixels repeat).

    See :class:`~dealias.fusion.Fusion` for shapes. No parameters; any ratio of sizes.
    """

    def upsample(self, lr: Tensor, size: tuple[int, int]) -> Tensor:
        """Resample ``lr`` [B, C, h, w] to [B, C, *size]."""
        return F.interpolate(lr, size=size, mode="bilinear", align_corners=False)
