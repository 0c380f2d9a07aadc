# SPDX-License-Identifier: Apache-2.0
"""SegFormer's all-MLP head (arXiv 2105.15203): every level in one width, at one size, merged by 1x1 convolutions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, islice

import torch
from torch import Tensor, nn

from dealias.fusion import Fusion, FusionFactory

from .blocks import Classifier, ConvNormAct, NormFactory
from .head import Head


class SegFormerHead(Head):
    """Embed every level linearly, bring all to the size of the finest, concatenate, merge by a 1x1 convolution.

    A fusion for any ratio of sizes (:attr:`~dealias.fusion.Fusion.factor` None) brings each level there at once, guided
    by the finest embedding; with ``"bilinear"`` this is the published head. A fusion of a fixed ratio goes from level
    to level, guided by the embedding of each: of four levels the coarse ones take 3, 2 and 1 steps, which makes the six
    upsamplers of the published comparisons in this head.

    Where several maps arrive at one level, its embedding goes on as the mean of what their fusions made of it.

    Args:
        channels: channels of the levels, fine to coarse.
        classes: number of classes.
        fusion: makes one upsampler, called with ``(width, width)``.
        width: channels of the embeddings; 256 in the paper for the encoders B0 and B1, 768 for B2 to B5.
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
        self.embeddings = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.merge = ConvNormAct(len(channels) * width, width, 1, norm)
        self.classifier = Classifier(width, classes, dropout)
        # fusions last: one seed, the same other weights for all of them
        self.steps = nn.ModuleList(_steps(fusion, width, len(channels)))

    def embed(self, features: Sequence[Tensor]) -> Tensor:
        """Merge all levels at the finest level.

        Args:
            features: maps [B, channels[i], H_i, W_i], fine to coarse; where the fusion asks for it, each half as large
                as the one before, rounded up or down.

        Returns:
            [B, width, H_0, W_0].
        """
        levels = [embed(x) for embed, x in zip(self.embeddings, features, strict=True)]
        guides, maps = levels[: len(self.steps)], levels[len(self.steps) :]
        for guide, step in zip(reversed(guides), self.steps, strict=True):
            maps = step(guide, maps)
        return self.merge(torch.cat(maps, dim=1))


class _Step(nn.Module):
    """Bring all coarser maps to the grid of one level, each by a fusion of its own."""

    def __init__(self, fusions: Iterable[Fusion]) -> None:
        super().__init__()
        self.fusions = nn.ModuleList(fusions)

    def forward(self, level: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
        """The level [B, width, H, W], as the mean over the fusions, and after it the maps, all of its size."""
        fused = [fusion(level, x) for fusion, x in zip(self.fusions, maps, strict=True)]
        (first, *others), risen = zip(*fused, strict=True)
        return [sum(others, first) / len(fused), *risen]


def _steps(fusion: FusionFactory, width: int, levels: int) -> list[_Step]:
    """One step to the finest level where the fusion takes any ratio, else one to each level, from coarse to fine."""
    first = fusion(width, width)
    counts = [levels - 1] if first.factor is None else range(1, levels)
    made = chain([first], (fusion(width, width) for _ in range(sum(counts) - 1)))
    return [_Step(islice(made, count)) for count in counts]
