# SPDX-License-Identifier: Apache-2.0
"""Semantic segmentation on the finest level of a feature pyramid (FPN, arXiv 1612.03144)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from dealias.fusion import FusionFactory
from dealias.necks import TopDown

from .blocks import Classifier, ConvNormAct, NormFactory
from .head import Head


class FPNHead(Head):
    """Top-down pyramid; 3x3 convolution + norm + ReLU, dropout and 1x1 classifier on its finest level.

    The coarse levels reach the result through the fusions alone, which makes it the plainest place to compare them.

    Args:
        channels: channels of the levels, fine to coarse.
        classes: number of classes.
        fusion: makes the fusion of two neighbouring levels, called with ``(width, width)``.
        width: channels of the pyramid.
        dropout: probability to drop a channel before the classifier.
        norm: makes the normalisation from the number of channels.
    """

    def __init__(
        self,
        channels: Sequence[int],
        classes: int,
        fusion: FusionFactory,
        width: int = 256,
        dropout: float = 0.1,
        norm: NormFactory = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.smooth = ConvNormAct(width, width, norm=norm)
        self.classifier = Classifier(width, classes, dropout)
        self.neck = TopDown(channels, width, fusion)  # fusions last: one seed, the same other weights for all of them

    def embed(self, features: Sequence[Tensor]) -> Tensor:
        """Compute the finest level.

        Args:
            features: maps [B, channels[i], H_i, W_i], fine to coarse.

        Returns:
            [B, width, H_0, W_0].
        """
        return self.smooth(self.neck(features)[0])
