# SPDX-License-Identifier: Apache-2.0
"""The feature pyramid of detectors (arXiv 1612.03144) with any fusion: drop-in for torchvision's, same keys."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from dealias.fusion import FusionFactory

from .top_down import TopDownPath


class FeaturePyramid(nn.Module):
    """1x1 convolutions to one width, a top-down path, a 3x3 convolution on every level, and levels on top of that.

    With :class:`~dealias.fusion.Nearest` as the fusion it computes what ``torchvision.ops.FeaturePyramidNetwork`` does,
    under the same state-dict keys (``inner_blocks``, ``layer_blocks``, ``extra_blocks``); other fusions add
    ``path.fusions``. Zero border in the convolutions, which start Kaiming-uniform with zero bias. The fusions are made
    last, so one seed gives the convolutions the same weights whatever the fusion.

    Args:
        channels: channels of the maps, fine to coarse.
        width: channels of every output level.
        fusion: makes the fusion of two neighbouring levels, called with ``(width, width)``.
        extra_blocks: makes further levels, such as :class:`SubsampledLevel`, :class:`StridedLevels` or those of
            torchvision: called with the output levels, the maps and the names of the levels (lists), returns all
            levels and all names; None: none.
        norm: norm after every convolution, from the number of channels; None: none, and convolutions with bias.
        fused_levels: further levels that take part in the top-down path: 3x3 convolutions of stride 2, the first of the
            coarsest map, the next of the level before. Their names are numbers, from that of maps on.

    Attributes:
        out_channels: ``width``.

    >>> import torch
    >>> from dealias.fusion import Bilinear
    >>> neck = FeaturePyramid((8, 16), 4, Bilinear, SubsampledLevel())
    >>> levels = neck({"0": torch.zeros(1, 8, 9, 13), "1": torch.zeros(1, 16, 5, 7)})
    >>> {name: tuple(level.shape) for name, level in levels.items()}
    {'0': (1, 4, 9, 13), '1': (1, 4, 5, 7), 'pool': (1, 4, 3, 4)}
    """

    def __init__(
        self,
        channels: Sequence[int],
        width: int,
        fusion: FusionFactory,
        extra_blocks: nn.Module | None = None,
        norm: Callable[[int], nn.Module] | None = None,
        fused_levels: int = 0,
    ) -> None:
        super().__init__()
        self.out_channels, self.maps = width, len(channels)
        self.inner_blocks = nn.ModuleList(_block(c, width, 1, norm) for c in channels)
        self.inner_blocks.extend(_block(c, width, 3, norm, 2) for c in (channels[-1], *[width] * fused_levels)[:-1])
        self.layer_blocks = nn.ModuleList(_block(width, width, 3, norm) for _ in self.inner_blocks)
        self.extra_blocks = extra_blocks
        self.path = TopDownPath(width, len(self.inner_blocks), fusion)

    def forward(self, features: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
        """Compute the pyramid.

        Args:
            features: maps [B, channels[i], H_i, W_i] by name, fine to coarse; where the fusion asks for it, each half
                as large as the one before, rounded up or down.

        Returns:
            Maps [B, width, H_i, W_i] by the same names in the same order, then further levels.

        Raises:
            ValueError: another number of maps.
        """
        names, maps = list(features), list(features.values())
        if len(maps) != self.maps:
            raise ValueError(f"this pyramid needs {self.maps} maps, got {len(maps)}: {', '.join(names)}")
        inner = [block(x) for block, x in zip(self.inner_blocks, maps, strict=False)]
        for number, block in enumerate(self.inner_blocks[self.maps :], self.maps):
            inner.append(block(maps[-1] if number == self.maps else inner[-1]))
            names.append(str(number))
        levels = self.path(inner)
        outputs = [block(x) for block, x in zip(self.layer_blocks, levels, strict=True)]
        if self.extra_blocks is not None:
            outputs, names = self.extra_blocks(outputs, maps, names)
        return OrderedDict(zip(names, outputs, strict=True))


class SubsampledLevel(nn.Module):
    """One level more, ``"pool"``: every other row and column of the coarsest one, from the first on."""

    def forward(
        self, levels: Sequence[Tensor], maps: Sequence[Tensor], names: Sequence[str]
    ) -> tuple[list[Tensor], list[str]]:
        """Add the level; see :class:`FeaturePyramid`."""
        return [*levels, levels[-1][..., ::2, ::2]], [*names, "pool"]


class StridedLevels(nn.Module):
    """Two levels more, ``"p6"`` and ``"p7"``, by 3x3 convolutions of stride 2 (RetinaNet, arXiv:1708.02002).

    The first is made from the coarsest output level where ``in_channels`` are ``width``, else from the coarsest map; a
    ReLU comes before the second. Keys are torchvision's.

    Args:
        in_channels: channels of what the first level is made from.
        width: channels of the levels.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.p6, self.p7 = _conv(in_channels, width, 3, stride=2), _conv(width, width, 3, stride=2)
        self.from_output = in_channels == width

    def forward(
        self, levels: Sequence[Tensor], maps: Sequence[Tensor], names: Sequence[str]
    ) -> tuple[list[Tensor], list[str]]:
        """Add the levels; see :class:`FeaturePyramid`."""
        p6 = self.p6(levels[-1] if self.from_output else maps[-1])
        return [*levels, p6, self.p7(F.relu(p6))], [*names, "p6", "p7"]


def _block(
    in_channels: int, out_channels: int, kernel_size: int, norm: Callable[[int], nn.Module] | None, stride: int = 1
) -> nn.Sequential:
    if norm is None:
        return nn.Sequential(_conv(in_channels, out_channels, kernel_size, stride))
    return nn.Sequential(_conv(in_channels, out_channels, kernel_size, stride, bias=False), norm(out_channels))


def _conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=bias)
    nn.init.kaiming_uniform_(conv.weight, a=1)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
