# SPDX-License-Identifier: Apache-2.0
"""The auxiliary head: one convolution and a classifier on one feature map (FCN, arXiv 1411.4038)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .blocks import Classifier, ConvNormAct, NormFactory


class FCNHead(nn.Module):
    """3x3 convolution + norm + ReLU, dropout, 1x1 classifier on one level of the pyramid.

    Args:
        channels: channels of the levels, fine to coarse.
        classes: number of classes.
        width: channels of the convolution.
        level: index of the level that is used; the default is the third, at stride 16.
        dropout: probability to drop a channel before the classifier.
        norm: makes the normalisation from the number of channels.
    """

    def __init__(
        self,
        channels: Sequence[int],
        classes: int,
        width: int = 256,
        level: int = 2,
        dropout: float = 0.1,
        norm: NormFactory = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.level = level
        self.conv = ConvNormAct(channels[level], width, norm=norm)
        self.classifier = Classifier(width, classes, dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Score the classes on one level.

        Args:
            features: maps [B, channels[i], H_i, W_i], fine to coarse.

        Returns:
            Logits [B, classes, H_level, W_level].
        """
        return self.classifier(self.conv(features[self.level]))
