# SPDX-License-Identifier: Apache-2.0
"""The top-down pathway of feature pyramid networks (arXiv 1612.03144) with any fusion as its upsampler."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from dealias.fusion import FusionFactory


class TopDownPath(nn.Module):
    """Carry coarse levels down to fine ones: ``hr', up = fusion(level, coarser)``; the new level is ``hr' + up``.

    Args:
        width: channels of every level.
        levels: number of levels; there is one fusion fewer.
        fusion: makes the fusion of two neighbouring levels, called with ``(width, width)``.
    """

    def __init__(self, width: int, levels: int, fusion: FusionFactory) -> None:
        super().__init__()
        self.fusions = nn.ModuleList(fusion(width, width) for _ in range(levels - 1))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Fuse from coarse to fine.

        Args:
            levels: maps [B, width, H_i, W_i], fine to coarse.

        Returns:
            Maps of the same shapes, fine to coarse; the coarsest is unchanged.
        """
        fused = [levels[-1]]
        for level, fusion in zip(reversed(levels[:-1]), reversed(self.fusions), strict=True):
            hr, up = fusion(level, fused[-1])
            fused.append(hr + up)
        return fused[::-1]


class TopDown(nn.Module):
    """Bring every level of a pyramid to one width with 1x1 convolutions, then fuse from coarse to fine.

    The convolutions start with Xavier-uniform weights and zero bias, the fusions as they initialise themselves. The
    fusions are made last, so one seed gives the convolutions the same weights whatever the fusion.

    Args:
        channels: channels of the levels, fine to coarse.
        width: channels of every output level.
        fusion: makes the fusion of two neighbouring levels, called with ``(width, width)``.

    >>> import torch
    >>> from dealias.fusion import Bilinear
    >>> neck = TopDown((8, 16), 4, Bilinear)
    >>> [tuple(x.shape) for x in neck([torch.zeros(1, 8, 9, 13), torch.zeros(1, 16, 5, 7)])]
    [(1, 4, 9, 13), (1, 4, 5, 7)]
    """

    def __init__(self, channels: Sequence[int], width: int, fusion: FusionFactory) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(_lateral(c, width) for c in channels)
        self.path = TopDownPath(width, len(channels), fusion)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Fuse a pyramid.

        Args:
            features: maps [B, channels[i], H_i, W_i], fine to coarse; where the fusion asks for it, each half as large
                as the one before, rounded up or down.

        Returns:
            Maps [B, width, H_i, W_i], fine to coarse.
        """
        return self.path([lateral(x) for lateral, x in zip(self.laterals, features, strict=True)])


def _lateral(in_channels: int, out_channels: int) -> nn.Conv2d:
    conv = nn.Conv2d(in_channels, out_channels, 1)
    nn.init.xavier_uniform_(conv.weight)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # bias=True: there is one
    return conv
