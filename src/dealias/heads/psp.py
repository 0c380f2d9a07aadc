# SPDX-License-Identifier: Apache-2.0
"""PSPNet's head (arXiv 1612.01105): pyramid pooling on the coarsest level, and a classifier."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .blocks import Classifier, NormFactory
from .head import Head
from .upernet import PyramidPooling


class PSPHead(Head):
    """Context of several extents on the coarsest level, dropout, 1x1 classifier.

    Args:
        channels: channels of the levels, fine to coarse.
        classes: number of classes.
        width: channels of every bin and of the fused map.
        dropout: probability to drop a channel before the classifier.
        norm: makes the normalisation from the number of channels.
    """

    def __init__(
        self,
        channels: Sequence[int],
        classes: int,
        width: int = 512,
        dropout: float = 0.1,
        norm: NormFactory = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.pooling = PyramidPooling(channels[-1], width, norm=norm)
        self.classifier = Classifier(width, classes, dropout)

    def embed(self, features: Sequence[Tensor]) -> Tensor:
        """Add context to the coarsest level.

        Args:
            features: maps [B, channels[i], H_i, W_i], fine to coarse.

        Returns:
            [B, width, H, W], the coarsest level's size.
        """
        return self.pooling(features[-1])
