# SPDX-License-Identifier: Apache-2.0
"""The semantic branch of Panoptic FPN (arXiv 1901.02446): all levels of a pyramid summed at its finest."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .blocks import Classifier, ConvNormAct, NormFactory, resize
from .ham import group_norm
from .head import Head


class SemanticFPNHead(Head):
    """Bring every level to the finest grid in steps, sum them, classify (figure 3 of the paper).

    A step is a 3x3 convolution, norm, ReLU and bilinear upsampling (half-pixel centres) to the size of the next finer
    level; the finest level passes one convolution, norm and ReLU without upsampling.

    Args:
        in_channels: channels of every level.
        classes: number of classes.
        levels: number of levels that are used, from the finest on.
        width: channels of the steps; 128 in the paper.
        norm: makes the normalisation from the number of channels; GroupNorm in the paper.
    """

    def __init__(
        self, in_channels: int, classes: int, levels: int = 4, width: int = 128, norm: NormFactory = group_norm
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_Branch(in_channels, width, level, norm) for level in range(levels))
        self.classifier = Classifier(width, classes, dropout=0.0)

    def embed(self, features: Sequence[Tensor]) -> Tensor:
        """Sum the levels.

        Args:
            features: maps [B, in_channels, H_i, W_i], fine to coarse; those after the levels that are used are left.

        Returns:
            [B, width, H_0, W_0].
        """
        sizes = [(x.shape[-2], x.shape[-1]) for x in features]
        used = features[: len(self.branches)]
        first, *others = (branch(x, sizes[:i]) for i, (branch, x) in enumerate(zip(self.branches, used, strict=True)))
        return sum(others, first)


class _Branch(nn.Module):
    """The steps of one level."""

    def __init__(self, in_channels: int, width: int, steps: int, norm: NormFactory) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            ConvNormAct(width if step else in_channels, width, norm=norm) for step in range(max(steps, 1))
        )

    def forward(self, x: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Bring x to the sizes of the finer levels, the next one (the last in ``sizes``) first."""
        if not sizes:
            return self.blocks[0](x)
        for block, size in zip(self.blocks, reversed(sizes), strict=True):
            x = resize(block(x), size)
        return x
