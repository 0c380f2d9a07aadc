# SPDX-License-Identifier: Apache-2.0
"""The coarsest level straight to the finest grid: where upsamplers for high ratios are compared."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from dealias.fusion import FusionFactory

from .blocks import Classifier, ConvNormAct, NormFactory
from .head import Head


class DirectHead(Head):
    """Upsample the coarsest level in one step, guided by the finest one; then score the classes.

    A 1x1 convolution + norm + ReLU before the fusion; a 3x3 convolution + norm + ReLU, dropout and 1x1 classifier after
    it. The finest level reaches the result through the fusion's kernels alone, the ones between not at all, so that all
    detail is the upsampler's work.

    Args:
        channels: channels of the levels, fine to coarse, each half as large as the one before.
        classes: number of classes.
        fusion: makes the upsampler, called with ``(channels[0], width)``; for any ratio of sizes
            (:attr:`~dealias.fusion.Fusion.factor` None), or for that of the coarsest to the finest level.
        width: channels of the upsampled map.
        dropout: probability to drop a channel before the classifier.
        norm: makes the normalisation from the number of channels.

    Raises:
        ValueError: the fusion has another ratio.
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
        self.project = ConvNormAct(channels[-1], width, 1, norm)
        self.smooth = ConvNormAct(width, width, norm=norm)
        self.classifier = Classifier(width, classes, dropout)
        self.fusion = fusion(channels[0], width)  # last: one seed, the same other weights for all fusions
        ratio = 2 ** (len(channels) - 1)
        if self.fusion.factor not in (None, ratio):
            raise ValueError(
                f"one step from the coarsest to the finest of {len(channels)} levels has the ratio {ratio}; "
                f"{type(self.fusion).__name__} has {self.fusion.factor}"
            )

    def embed(self, features: Sequence[Tensor]) -> Tensor:
        """Upsample to the finest level.

        Args:
            features: maps [B, channels[i], H_i, W_i], fine to coarse; the first and the last are used.

        Returns:
            [B, width, H_0, W_0].
        """
        _, upsampled = self.fusion(features[0], self.project(features[-1]))
        return self.smooth(upsampled)
