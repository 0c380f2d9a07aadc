# SPDX-License-Identifier: Apache-2.0
"""Convolutions and a classifier on one feature map (FCN, arXiv 1411.4038): a decoder, or the auxiliary head."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .blocks import Classifier, ConvNormAct, NormFactory
from .head import Head


class FCNHead(Head):
    """3x3 convolutions + norm + ReLU, dropout, 1x1 classifier on one level of the pyramid.

    Args:
        channels: channels of the levels, fine to coarse.
        classes: number of classes.
        width: channels of the convolutions.
        level: index of the level that is used; the default is the third, as the auxiliary head has it.
        dropout: probability to drop a channel before the classifier.
        norm: makes the normalisation from the number of channels.
        depth: number of convolutions, at least 1.
    """

    def __init__(
        self,
        channels: Sequence[int],
        classes: int,
        width: int = 256,
        level: int = 2,
        dropout: float = 0.1,
        norm: NormFactory = nn.BatchNorm2d,
        depth: int = 1,
    ) -> None:
        super().__init__()
        self.level = level
        self.conv = ConvNormAct(channels[level], width, norm=norm)
        self.further = nn.Sequential(*(ConvNormAct(width, width, norm=norm) for _ in range(depth - 1)))
        self.classifier = Classifier(width, classes, dropout)

    def embed(self, features: Sequence[Tensor]) -> Tensor:
        """Convolve one level.

        Args:
            features: maps [B, channels[i], H_i, W_i], fine to coarse.

        Returns:
            [B, width, H_level, W_level].
        """
        return self.further(self.conv(features[self.level]))
