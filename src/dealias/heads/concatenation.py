# SPDX-License-Identifier: Apache-2.0
"""All levels of a pyramid as one map on the finest grid, by concatenation, with any fusion as the upsampler."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dealias.fusion import Bilinear, Fusion, FusionFactory, Nearest
from dealias.fusion.similarity_sampler import SimilaritySampler


def concatenation(channels: Sequence[int], fusion: FusionFactory) -> nn.Module:
    """The module that brings a pyramid to one map, [B, sum of channels, H_0, W_0].

    Interpolation needs no grids between and gives :class:`Straight`, every other fusion :class:`Growing`.

    Args:
        channels: channels of the levels, fine to coarse, at least two.
        fusion: makes the fusion of a level with what is coarser.
    """
    growing = Growing(channels, fusion)
    straight = all(isinstance(part, (Nearest, Bilinear)) for part in growing.fusions)
    return Straight(channels, fusion) if straight else growing


class Straight(nn.Module):
    """Bring every level to the finest grid by itself; concatenate from fine to coarse.

    Args:
        channels: channels of the levels, fine to coarse.
        fusion: makes the fusion of the finest level with another one.
    """

    def __init__(self, channels: Sequence[int], fusion: FusionFactory) -> None:
        super().__init__()
        finest, *coarser = channels
        self.fusions = nn.ModuleList(fusion(finest, c) for c in coarser)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Concatenate maps [B, channels[i], H_i, W_i], fine to coarse: [B, sum of channels, H_0, W_0]."""
        finest, *coarser = levels
        resized = [fusion(finest, level)[1] for fusion, level in zip(self.fusions, coarser, strict=True)]
        return torch.cat([finest, *resized], dim=1)


class Growing(nn.Module):
    """From the coarsest level to the finest: ``hr', up = fusion(level, map)``; the new map is hr' and up together.

    A fusion with a :class:`~dealias.fusion.similarity_sampler.SimilaritySampler`, which moves groups of channels apart,
    is followed by :func:`interleave` with that many groups, so that each group of the next sampler sees every level.

    Args:
        channels: channels of the levels, fine to coarse.
        fusion: makes the fusion of a level with the map of all coarser ones.

    Raises:
        ValueError: the sampler's groups do not divide the channels.
    """

    def __init__(self, channels: Sequence[int], fusion: FusionFactory) -> None:
        super().__init__()
        *finer, grown = channels
        self.fusions = nn.ModuleList()
        self.groups: list[int] = []
        for c in reversed(finer):
            part = fusion(c, grown)
            groups = _sampler_groups(part)
            if c % groups or grown % groups:
                raise ValueError(f"{groups} groups of the sampler do not divide {c} and {grown} channels")
            self.fusions.append(part)
            self.groups.append(groups)
            grown += c

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Concatenate maps [B, channels[i], H_i, W_i], fine to coarse: [B, sum of channels, H_0, W_0]."""
        *finer, grown = levels
        for step, level in enumerate(reversed(finer)):
            grown = self.join(step, *self.fusions[step](level, grown))
        return grown

    def join(self, step: int, hr: Tensor, lr_up: Tensor) -> Tensor:
        """What one fusion returned, as one map: [B, Ch, H, W] and [B, Cl, H, W] to [B, Ch + Cl, H, W]."""
        return interleave(hr, lr_up, self.groups[step])


def interleave(first: Tensor, second: Tensor, groups: int) -> Tensor:
    """Concatenate by groups of channels: group 0 of the first, group 0 of the second, group 1 of the first, ...

    Args:
        first: [B, C1, H, W], C1 divisible by ``groups``.
        second: [B, C2, H, W], C2 divisible by ``groups``.
        groups: at least 1.

    Returns:
        [B, C1 + C2, H, W].

    >>> a, b = torch.arange(4.0).reshape(1, 4, 1, 1), torch.full((1, 2, 1, 1), 9.0)
    >>> interleave(a, b, 2).flatten().tolist()
    [0.0, 1.0, 9.0, 2.0, 3.0, 9.0]
    """
    grouped = [x.unflatten(1, (groups, x.shape[1] // groups)) for x in (first, second)]
    return torch.cat(grouped, dim=2).flatten(1, 2)


def _sampler_groups(fusion: Fusion) -> int:
    return next((part.groups for part in fusion.modules() if isinstance(part, SimilaritySampler)), 1)
