# SPDX-License-Identifier: Apache-2.0
"""UPerNet (Unified Perceptual Parsing, arXiv 1807.10221): pyramid pooling, a top-down path, all levels together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dealias.fusion import FusionFactory
from dealias.necks import TopDownPath

from .blocks import Classifier, ConvNormAct, NormFactory, resize
from .head import Head


class PyramidPooling(nn.Module):
    """Context of several extents (PSPNet, arXiv 1612.01105).

    The map is averaged over n x n bins; each result passes a 1x1 convolution and is resized back; all are concatenated
    with the map and fused by a 3x3 convolution.

    In training the 1 x 1 bin gives BatchNorm one value per image and channel, so a batch needs two images or more.

    Args:
        in_channels: channels of the input.
        width: channels of every bin and of the output.
        bins: sides n of the pooled maps.
        norm: makes the normalisation from the number of channels.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        bins: Sequence[int] = (1, 2, 3, 6),
        norm: NormFactory = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.bins = tuple(bins)
        self.branches = nn.ModuleList(ConvNormAct(in_channels, width, 1, norm) for _ in self.bins)
        self.fuse = ConvNormAct(in_channels + len(self.bins) * width, width, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """Add context: [B, in_channels, H, W] to [B, width, H, W]."""
        size = (x.shape[-2], x.shape[-1])
        pooled = [
            resize(branch(F.adaptive_avg_pool2d(x, n)), size)
            for n, branch in zip(self.bins, self.branches, strict=True)
        ]
        return self.fuse(torch.cat([x, *pooled], dim=1))


class UPerHead(Head):
    """Pyramid pooling on the coarsest level, a top-down path with any fusion, and a prediction from all levels at once.

    Every fused level but the coarsest passes a 3x3 convolution; all are resized to the finest one, concatenated, fused
    by a 3x3 convolution and classified.

    Args:
        channels: channels of the levels, fine to coarse.
        classes: number of classes.
        fusion: makes the fusion of two neighbouring levels, called with ``(width, width)``.
        width: channels of all levels.
        dropout: probability to drop a channel before the classifier.
        norm: makes the normalisation from the number of channels.
    """

    def __init__(
        self,
        channels: Sequence[int],
        classes: int,
        fusion: FusionFactory,
        width: int = 512,
        dropout: float = 0.1,
        norm: NormFactory = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        *fine, coarsest = channels
        self.pooling = PyramidPooling(coarsest, width, norm=norm)
        self.laterals = nn.ModuleList(ConvNormAct(c, width, 1, norm) for c in fine)
        self.smooth = nn.ModuleList(ConvNormAct(width, width, norm=norm) for _ in fine)
        self.fuse = ConvNormAct(len(channels) * width, width, norm=norm)
        self.classifier = Classifier(width, classes, dropout)
        # fusions last: one seed, the same other weights for all of them
        self.path = TopDownPath(width, len(channels), fusion)

    def embed(self, features: Sequence[Tensor]) -> Tensor:
        """Fuse all levels at the finest level.

        Args:
            features: maps [B, channels[i], H_i, W_i], fine to coarse.

        Returns:
            [B, width, H_0, W_0].
        """
        *fine, coarsest = features
        levels = [lateral(x) for lateral, x in zip(self.laterals, fine, strict=True)]
        *fused, context = self.path([*levels, self.pooling(coarsest)])
        smoothed = [smooth(x) for smooth, x in zip(self.smooth, fused, strict=True)]
        finest, *coarser = [*smoothed, context]
        size = (finest.shape[-2], finest.shape[-1])
        return self.fuse(torch.cat([finest, *(resize(x, size) for x in coarser)], dim=1))
