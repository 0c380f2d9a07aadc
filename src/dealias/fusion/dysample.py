# SPDX-License-Identifier: Apache-2.0
"""DySample: upsampling by learning where to sample (ICCV 2023, arXiv:2308.15085)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Unguided
from .init import init_kernel_encoder
from .offsets import initial_positions, sample_at_offsets

_STATIC_SCOPE = 0.25  # offsets of size 1 just reach the neighbouring sub-pixel (section 3.2 of the paper)


class DySample(Unguided):
    """Sample ``lr`` bilinearly at points that a 1x1 convolution of ``lr`` moves away from the regular fine grid.

    Before training the offsets are almost zero, so the method starts as bilinear interpolation. See
    :class:`~dealias.fusion.Fusion` for shapes and sizes. Border pixels repeat.

    Args:
        hr_channels: channels of ``hr``, which passes through.
        lr_channels: channels of ``lr``, divisible by ``groups`` and, with ``"shuffle_first"``, by ``scale**2``.
        scale: ratio of sizes, at least 1; published for 2 to 4.
        style: ``"linear_first"`` (the paper's "linear + pixel shuffle"): the convolution works on the coarse grid and
            gives the offsets of all sub-pixels; ``"shuffle_first"`` ("pixel shuffle + linear"): ``lr`` is shuffled to
            the fine grid first, which needs ``scale**4`` times fewer weights.
        groups: channel groups with offsets of their own.
        dynamic_scope: predict how far each point may move, ``sigmoid(.) / 2``, instead of the fixed 1/4.

    Raises:
        ValueError: an unknown style, a scale below 1, or ``groups`` or the shuffle does not divide ``lr_channels``.
    """

    def __init__(
        self,
        hr_channels: int,
        lr_channels: int,
        scale: int = 2,
        style: str = "linear_first",
        groups: int = 4,
        dynamic_scope: bool = False,
    ) -> None:
        super().__init__(hr_channels, lr_channels)
        if style not in ("linear_first", "shuffle_first"):
            raise ValueError(f"DySample: style must be 'linear_first' or 'shuffle_first', got {style!r}")
        self.shuffle_first = style == "shuffle_first"
        if scale < 1 or lr_channels % groups or (self.shuffle_first and lr_channels % scale**2):
            raise ValueError(
                "DySample: scale must be positive, groups divide lr_channels and, with 'shuffle_first', scale**2 too; "
                f"got {scale=}, {groups=}, {lr_channels=}, {style=}"
            )
        self.factor, self.scale, self.groups = scale, scale, groups
        inputs = lr_channels // scale**2 if self.shuffle_first else lr_channels
        outputs = 2 * groups if self.shuffle_first else 2 * groups * scale**2
        self.offset = nn.Conv2d(inputs, outputs, 1)
        init_kernel_encoder(self.offset)
        self.scope = nn.Conv2d(inputs, outputs, 1, bias=False) if dynamic_scope else None
        if self.scope is not None:
            nn.init.zeros_(self.scope.weight)
        self.register_buffer("positions", initial_positions(groups, scale), persistent=False)

    def upsample(self, lr: Tensor, size: tuple[int, int]) -> Tensor:
        """Upsample ``lr`` [B, C, h, w] by the scale: [B, C, h*scale, w*scale]."""
        guide = F.pixel_shuffle(lr, self.scale) if self.shuffle_first else lr
        scope = _STATIC_SCOPE if self.scope is None else 2 * _STATIC_SCOPE * torch.sigmoid(self.scope(guide))
        moves = self.offset(guide) * scope
        if self.shuffle_first:
            moves = F.pixel_unshuffle(moves, self.scale)
        return sample_at_offsets(lr, moves + self.positions, self.groups, self.scale)


class DySamplePlus(DySample):
    """DySample+: :class:`DySample` with dynamic scope."""

    def __init__(
        self,
        hr_channels: int,
        lr_channels: int,
        scale: int = 2,
        style: str = "linear_first",
        groups: int = 4,
        dynamic_scope: bool = True,
    ) -> None:
        super().__init__(hr_channels, lr_channels, scale, style, groups, dynamic_scope)


class DySampleSPlus(DySample):
    """DySample-S+: the small :class:`DySample`, which shuffles first, with dynamic scope and eight groups."""

    def __init__(
        self,
        hr_channels: int,
        lr_channels: int,
        scale: int = 2,
        style: str = "shuffle_first",
        groups: int = 8,
        dynamic_scope: bool = True,
    ) -> None:
        super().__init__(hr_channels, lr_channels, scale, style, groups, dynamic_scope)
