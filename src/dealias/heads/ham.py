# SPDX-License-Identifier: Apache-2.0
"""The head of SegNeXt (arXiv:2209.08575): global context by matrix factorisation, Hamburger (arXiv:2109.04553)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from dealias.fusion import FusionFactory

from .blocks import Classifier, ConvNormAct, NormFactory
from .concatenation import concatenation
from .head import Head
from .nmf import NMF


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with 32 groups, as published, or as many as leave every group two channels or more."""
    return nn.GroupNorm(1 if channels % 2 else math.gcd(32, channels // 2), channels)


class Hamburger(nn.Module):
    """Global context: ``relu(x + norm(leave(decomposition(relu(enter(x))))))``, the "bread" two 1x1 convolutions.

    Args:
        channels: channels of input and output, [B, channels, H, W].
        decomposition: a non-negative map [B, channels, H, W] to one of low rank; None: :class:`NMF` of rank 16.
        norm: makes the normalisation from the number of channels.
    """

    def __init__(self, channels: int, decomposition: nn.Module | None = None, norm: NormFactory = group_norm) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, channels, 1)
        self.decomposition = decomposition or NMF(channels)
        leave = nn.Conv2d(channels, channels, 1, bias=False)
        for conv in (self.enter, leave):
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.enter.bias)  # type: ignore[arg-type]  # bias=True: there is one
        self.leave = nn.Sequential(leave, norm(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Add context to x [B, channels, H, W]: same shape."""
        return F.relu(x + self.leave(self.decomposition(F.relu(self.enter(x)))))


class HamHead(Head):
    """Concatenate levels on the finest grid, squeeze to ``width`` channels, add global context, classify.

    With interpolation as the fusion this is SegNeXt's own head; with FreqFusion that of SegNeXt + FreqFusion
    (arXiv:2408.12879). How levels are concatenated is told by :func:`~dealias.heads.concatenation.concatenation`.

    Args:
        channels: channels of the levels that are used, fine to coarse: the coarsest of the pyramid.
        classes: number of classes.
        fusion: makes the fusion of a level with what is coarser.
        width: channels after the concatenation.
        dropout: probability to drop a channel before the classifier.
        norm: makes the normalisation from the number of channels.
        decomposition: of :class:`Hamburger`.
    """

    def __init__(
        self,
        channels: Sequence[int],
        classes: int,
        fusion: FusionFactory,
        width: int = 256,
        dropout: float = 0.1,
        norm: NormFactory = group_norm,
        decomposition: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.levels = len(channels)
        self.squeeze = ConvNormAct(sum(channels), width, 1, norm)
        self.hamburger = Hamburger(width, decomposition, norm)
        self.align = ConvNormAct(width, width, 1, norm)
        self.classifier = Classifier(width, classes, dropout)
        # fusions last: one seed, the same other weights for all of them
        self.path = concatenation(channels, fusion)

    def embed(self, features: Sequence[Tensor]) -> Tensor:
        """Concatenate at the finest level that is used, and add context.

        Args:
            features: maps [B, C_i, H_i, W_i], fine to coarse, the last of which are the levels that are used.

        Returns:
            [B, width, H, W], the size of the finest of these.
        """
        squeezed = self.squeeze(self.path(features[-self.levels :]))
        return self.align(self.hamburger(squeezed))
