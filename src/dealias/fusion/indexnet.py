# SPDX-License-Identifier: Apache-2.0
"""IndexNet: upsampling by a learned index of the fine map (ICCV 2019, arXiv:1908.00672)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Fusion

POSITIONS = 4
"""Pixels of the 2x2 windows that share one coarse pixel."""


class IndexNet(Fusion):
    """Repeat every pixel of ``lr`` 2x2 times and weigh the copies by an index in 0-1 that is predicted from ``hr``.

    ``lr_up = pixel_shuffle(sigmoid(branches(hr))) * nearest(lr)``, each branch a convolution of stride 2 on ``hr``;
    ``hr`` passes through. Weights of one window need not sum to 1, so a constant map does not stay constant. See
    :class:`~dealias.fusion.Fusion` for shapes and sizes. Zero border.

    Args:
        hr_channels: channels of ``hr``.
        lr_channels: channels of ``lr``; equal to ``hr_channels`` unless the index is holistic.
        index: ``"holistic"``: one index for all channels; ``"one_to_one"``: one per channel, from that channel of
            ``hr``; ``"many_to_one"``: one per channel, from all channels of ``hr``.
        nonlinear: two convolutions with batch normalisation and ReLU6 between them, instead of one.
        context: 4x4 windows, overlapping, instead of 2x2.

    Raises:
        ValueError: an unknown index, or one per channel with unequal channels.
    """

    factor = 2

    def __init__(
        self,
        hr_channels: int,
        lr_channels: int,
        index: str = "holistic",
        nonlinear: bool = True,
        context: bool = True,
    ) -> None:
        super().__init__(hr_channels, lr_channels)
        if index not in ("holistic", "one_to_one", "many_to_one"):
            raise ValueError(f"IndexNet: index must be 'holistic', 'one_to_one' or 'many_to_one', got {index!r}")
        if index != "holistic" and hr_channels != lr_channels:
            raise ValueError(f"IndexNet: index {index!r} needs {hr_channels=} equal to {lr_channels=}")
        self.branches = nn.ModuleList(index_branches(hr_channels, index, nonlinear, context))

    def fuse(self, hr: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Upsample lr [B, Cl, h, w] by the index of hr [B, Ch, 2h, 2w]; ``hr`` is returned as it is."""
        index = upsampling_index(index_logits(self.branches, hr))
        return hr, index * F.interpolate(lr, size=hr.shape[-2:], mode="nearest")


def index_branches(
    channels: int, index: str, nonlinear: bool, context: bool, norm: Callable[[int], nn.Module] = nn.BatchNorm2d
) -> list[nn.Sequential]:
    """The networks that see the fine map: one for a holistic index, else one per position of a 2x2 window.

    Args:
        channels: channels of the fine map.
        index: as in :class:`IndexNet`, and so the next two.
        nonlinear: two convolutions.
        context: overlapping windows.
        norm: makes the norm between the two from a number of channels.
    """
    holistic = index == "holistic"
    groups = channels if index == "one_to_one" else 1
    outputs = POSITIONS if holistic else channels
    hidden = 2 * channels if holistic else channels
    kernel_size, padding = (4, 1) if context else (2, 0)

    def branch() -> nn.Sequential:
        first = nn.Conv2d(
            channels,
            hidden if nonlinear else outputs,
            kernel_size,
            stride=2,
            padding=padding,
            groups=groups,
            bias=False,
        )
        if not nonlinear:
            return nn.Sequential(first)
        second = nn.Conv2d(hidden, outputs, 1, groups=groups, bias=False)
        return nn.Sequential(first, norm(hidden), nn.ReLU6(), second)

    return [branch() for _ in range(1 if holistic else POSITIONS)]


def index_logits(branches: Iterable[nn.Module], hr: Tensor) -> Tensor:
    """Logits per index map and window position: hr [B, C, 2h, 2w] to [B, 1 or C, 4, h, w], windows row-major."""
    logits = [branch(hr) for branch in branches]
    return logits[0].unsqueeze(1) if len(logits) == 1 else torch.stack(logits, dim=2)


def upsampling_index(logits: Tensor) -> Tensor:
    """The index of the upsampling side, in 0-1: logits [B, M, 4, h, w] to [B, M, 2h, 2w]."""
    return F.pixel_shuffle(torch.sigmoid(logits).flatten(1, 2), 2)


def downsampling_index(logits: Tensor) -> Tensor:
    """The index of the downsampling side, summing to 1 over each 2x2 window; shapes as :func:`upsampling_index`."""
    return F.pixel_shuffle(torch.sigmoid(logits).softmax(dim=2).flatten(1, 2), 2)
