# SPDX-License-Identifier: Apache-2.0
"""U-Net's decoder (arXiv 1505.04597) on the pyramid of any encoder, with any fusion at its skips."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dealias.fusion import FusionFactory

from .blocks import Classifier, ConvNormAct, NormFactory
from .head import Head


class UNetHead(Head):
    """From coarse to fine: fuse a level with what came from below, concatenate, two 3x3 convolutions + norm + ReLU.

    ``x <- convolutions(cat(hr', up))`` with ``hr', up = fusion(level, x)``, first for the coarsest level as ``x``.

    The encoder's levels enter as they are, in their own channels. Level i leaves with ``width * 2**i`` channels. The
    decoder ends at the finest level, which has stride 4 in the networks here; the original goes on to stride 1.

    Args:
        channels: channels of the levels, fine to coarse.
        classes: number of classes.
        fusion: makes the fusion at a skip, called with the channels of the level and of what comes from below.
        width: channels at the finest level.
        dropout: probability to drop a channel before the classifier.
        norm: makes the normalisation from the number of channels.
    """

    def __init__(
        self,
        channels: Sequence[int],
        classes: int,
        fusion: FusionFactory,
        width: int = 64,
        dropout: float = 0.1,
        norm: NormFactory = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        *skips, coarsest = channels
        widths = [width * 2**i for i in range(len(skips))]
        below = [*widths[1:], coarsest]
        self.blocks = nn.ModuleList(
            nn.Sequential(ConvNormAct(skip + deep, out, norm=norm), ConvNormAct(out, out, norm=norm))
            for skip, deep, out in zip(skips, below, widths, strict=True)
        )
        self.classifier = Classifier(width, classes, dropout)
        # fusions last: one seed, the same other weights for all of them
        self.fusions = nn.ModuleList(fusion(skip, deep) for skip, deep in zip(skips, below, strict=True))

    def embed(self, features: Sequence[Tensor]) -> Tensor:
        """Go down to the finest level.

        Args:
            features: maps [B, channels[i], H_i, W_i], fine to coarse; where the fusion asks for it, each half as large
                as the one before, rounded up or down.

        Returns:
            [B, width, H_0, W_0].
        """
        *skips, x = features
        for skip, fusion, block in reversed(list(zip(skips, self.fusions, self.blocks, strict=True))):
            x = block(torch.cat(fusion(skip, x), dim=1))
        return x
