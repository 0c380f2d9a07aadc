# SPDX-License-Identifier: Apache-2.0
"""What fusions cost in a feature pyramid of 256 channels: the table by which upsamplers are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from dealias.fusion import Fusion, create_fusion

from . import published
from .flops import count_flops
from .measure import Cost, OnProgress, measure_call, no_progress
from .parts import Part

CHANNELS = 256
"""Of every level of the pyramid."""

STRIDES = (4, 8, 16, 32)
"""Of the pyramid's levels."""


@dataclass(frozen=True)
class FusionCost:
    """What one method costs.

    Attributes:
        name: of the fusion.
        parameters: of three fusions, between the four levels of the pyramid.
        flops: operations of three fusions, two for each multiply-add.
        finest: all costs of one of them, to the finest level.
        published: parameters of three fusions as printed in :data:`~dealias.complexity.published.PAPER`, if they are.
    """

    name: str
    parameters: int
    flops: int
    finest: Cost
    published: str | None

    @property
    def macs(self) -> int:
        """Multiply-adds of three fusions."""
        return self.flops // 2

    @property
    def agrees(self) -> bool | None:
        """Whether the parameters print as published; None if nothing is published."""
        return None if self.published is None else published.agrees(self.parameters, self.published)

    def to_dict(self) -> dict[str, Any]:
        """All of it in plain values."""
        return {
            "name": self.name,
            "parameters": self.parameters,
            "macs": self.macs,
            "flops": self.flops,
            "published_parameters": self.published,
            "agrees": self.agrees,
            "finest": self.finest.to_dict(),
        }


@dataclass(frozen=True)
class FusionTable:
    """Costs of several methods.

    Attributes:
        costs: one for each method.
        size: of the image whose pyramid they fuse, height and width.
        runs: calls that were timed.
    """

    costs: tuple[FusionCost, ...]
    size: tuple[int, int]
    runs: int

    def to_dict(self) -> dict[str, Any]:
        """All of it in plain values."""
        return {
            "channels": CHANNELS,
            "levels": [list(level) for level in pyramid(self.size)],
            "image": list(self.size),
            "runs": self.runs,
            "published_in": published.PAPER,
            "fusions": [cost.to_dict() for cost in self.costs],
        }


def pyramid(size: tuple[int, int]) -> list[tuple[int, int]]:
    """Height and width of the levels of an image's pyramid, fine to coarse.

    >>> pyramid((512, 500))
    [(128, 125), (64, 63), (32, 32), (16, 16)]
    """
    height, width = size
    return [(-(-height // stride), -(-width // stride)) for stride in STRIDES]


def measure_fusions(
    names: Sequence[str],
    size: tuple[int, int] = (512, 512),
    device: str = "cpu",
    runs: int = 3,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    on_progress: OnProgress = no_progress,
) -> FusionTable:
    """Measure fusions in the pyramid of one image, all levels of 256 channels.

    Args:
        names: of :func:`dealias.fusion.list_fusions`.
        size: height and width of the image, at least 1.
        device: where to measure.
        runs: calls that are timed; 0: none.
        options: of fusions, by name.
        on_progress: called after each fusion.

    Raises:
        ValueError: unknown names or options, options of a fusion that is not measured, or no such size.

    >>> [(cost.parameters, cost.published) for cost in measure_fusions(["dysample+"], (64, 64), runs=0).costs]
    [(49248, '49.2 K')]
    """
    options = options or {}
    if min(size) < 1:
        raise ValueError(f"the size of the image must be positive, got {size[0]} x {size[1]}")
    unused = sorted(set(options) - set(names))
    if unused:
        raise ValueError(f"options are given for {', '.join(unused)}, but measured are {', '.join(names)}")
    fusions = {name: create_fusion(name, CHANNELS, CHANNELS, **options.get(name, {})) for name in names}
    levels = [torch.randn(1, CHANNELS, *level, device=device) for level in pyramid(size)]
    costs = []
    for name, fusion in fusions.items():
        costs.append(_measure(name, fusion.to(device).eval(), levels, runs))
        on_progress(len(costs), len(fusions))
    return FusionTable(tuple(costs), size, runs)


def _measure(name: str, fusion: Fusion, levels: Sequence[Tensor], runs: int) -> FusionCost:
    part = Part(name, {"": fusion})
    first, *others = pairwise(levels)
    finest = measure_call(fusion, first, [part], runs=runs)[0][part]
    flops = finest.flops + sum(count_flops(partial(fusion, *pair), [part]).parts[part] for pair in others)
    parameters = part.parameters * (1 + len(others))
    return FusionCost(name, parameters, flops, finest, published.PARAMETERS.get(name))
