# SPDX-License-Identifier: Apache-2.0
"""Watch the modulations of a network while images pass through it (SFM, arXiv:2507.11893)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dealias.ops.warp import Warp

from .layer_maps import check_names
from .modulation import RoundTrip, compose_warps, round_trip
from .modulation_measure import BoundaryRule, StageModulation, StageTotals


class Modulated(Protocol):
    """What a modulation gives, such as :class:`dealias.modulation.Modulation`."""

    warp: Warp
    attention: Tensor


@dataclass(frozen=True)
class StageMaps:
    """What can be looked at of a modulated stage.

    Attributes:
        trip: the maps.
        attention: how densely each place of the input is sampled, [B, 1, H, W], on the grid of the input.
        warps: of this stage and of those before it, that one last.
    """

    trip: RoundTrip
    attention: Tensor
    warps: tuple[Warp, ...]

    @property
    def points(self) -> Warp:
        """All warps as one: where on the image the samples of the warped grid are."""
        return compose_warps(self.warps)


@dataclass(frozen=True)
class _Call:
    """What went into a modulation, and what it made of it."""

    x: Tensor
    warp: Warp
    attention: Tensor


class ModulationProbe:
    """Measures what modulations do to feature maps, over any number of batches.

    Maps are measured when the network has run, and not kept: what is kept is some numbers and spectra per image. The
    network and its results stay as they are.

    Args:
        network: any module; the mode (training or evaluation) is the caller's.
        strides: by the name of each modulation in it, in the order in which images pass them, the stride after it.
        rule: what lies along boundaries of labels.

    Raises:
        ValueError: the network has no module of such a name.

    >>> from dealias.ops.warp.grid import pixel_centres
    >>> class Straight(nn.Module):
    ...     def forward(self, x):
    ...         self.attention = torch.ones(1, 1, 16, 16)
    ...         self.warp = Warp(pixel_centres((16, 16), 1, x), size=(16, 16))
    ...         return self
    >>> probe = ModulationProbe(nn.Sequential(Straight()), {"0": 2})
    >>> with probe.measuring():
    ...     _ = probe.network(torch.rand(1, 4, 16, 16))
    >>> [(stage.name, stage.images, stage.displacement.mean) for stage in probe.compute()]
    [('0', 1, 0.0)]
    """

    def __init__(self, network: nn.Module, strides: Mapping[str, int], rule: BoundaryRule | None = None) -> None:
        check_names(network, list(strides))
        self.network = network
        self.rule = rule or BoundaryRule()
        self._totals = {name: StageTotals(name, stride) for name, stride in strides.items()}

    @contextmanager
    def measuring(self, labels: Tensor | None = None) -> Iterator[None]:
        """Within the context, run images [B, C, h, w] through the network, once.

        If that fails, nothing of it counts.

        Args:
            labels: of the images, [B, H, W] at any size, if they are known.

        Raises:
            ValueError: labels of another type or shape; the network did not call the modulations once, in their order.
        """
        divided = None if labels is None else self.rule.divide(labels)
        with _recording(self.network, list(self._totals)) as calls:
            yield
        with torch.no_grad():
            for order, (totals, call) in enumerate(zip(self._totals.values(), calls, strict=True)):
                totals.add(call.x, [each.warp for each in calls[: order + 1]], divided)

    def compute(self) -> list[StageModulation]:
        """What was measured so far, in the order of the stages; nothing before any image has passed."""
        return [totals.summary() for totals in self._totals.values() if totals.numbers]


@torch.no_grad()
def modulation_maps(network: nn.Module, images: Tensor, strides: Mapping[str, int]) -> dict[str, StageMaps]:
    """Run images through a network and keep what its modulations do.

    Args:
        network: any module; put it in evaluation mode before.
        images: its argument.
        strides: as for :class:`ModulationProbe`.

    Returns:
        By name of the modulation, in the order of ``strides``.

    Raises:
        ValueError: as :class:`ModulationProbe`.
    """
    check_names(network, list(strides))
    with _recording(network, list(strides)) as calls:
        network(images)
    warps = [call.warp for call in calls]
    return {
        name: StageMaps(round_trip(call.x, call.warp, stride), call.attention, tuple(warps[: order + 1]))
        for order, ((name, stride), call) in enumerate(zip(strides.items(), calls, strict=True))
    }


@contextmanager
def _recording(network: nn.Module, names: list[str]) -> Iterator[list[_Call]]:
    """Collect the calls of modulations; at the end, each must have been called once, in this order."""
    called: list[str] = []
    calls: list[_Call] = []

    def keep(name: str, module: nn.Module, args: tuple[Any, ...], output: Modulated) -> None:
        called.append(name)
        calls.append(_Call(args[0].detach(), output.warp.detach(), output.attention.detach()))

    handles = [network.get_submodule(name).register_forward_hook(partial(keep, name)) for name in names]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
    if called != names:
        raise ValueError(f"expected one call of each of {', '.join(names)}, found {', '.join(called) or 'none'}")
