# SPDX-License-Identifier: Apache-2.0
"""All measurements of a network: parameters, operations, activation memory and time of every part."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dealias.models import SegmentationModel

from .flops import count_flops
from .latency import median_seconds
from .memory import kept_bytes, peak_bytes
from .parts import Part, find_parts

OnProgress = Callable[[int, int], object]
"""Called with the number of steps that are done and of all."""


@dataclass(frozen=True)
class Cost:
    """What a part costs.

    Attributes:
        parameters: their number.
        flops: operations of a forward pass, two for each multiply-add; see :mod:`dealias.complexity.flops`.
        peak_bytes: the most that a forward pass without gradients holds at once, beside weights and inputs.
        kept_bytes: what a forward pass with gradients keeps for the backward pass, beside weights and inputs.
        seconds: median time of a forward pass without gradients; None if it was not measured.
    """

    parameters: int
    flops: int
    peak_bytes: int
    kept_bytes: int
    seconds: float | None

    @property
    def macs(self) -> int:
        """Multiply-adds, what papers print as FLOPs."""
        return self.flops // 2

    def to_dict(self) -> dict[str, Any]:
        """All of it in plain values."""
        return {
            "parameters": self.parameters,
            "macs": self.macs,
            "flops": self.flops,
            "peak_bytes": self.peak_bytes,
            "kept_bytes": self.kept_bytes,
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class Complexity:
    """What a network costs.

    Attributes:
        parts: every part with its cost; the first one is the network. Costs of an auxiliary head, which works in
            training only, are its own: only its parameters count in the network too.
        operators: operations of the network, without an auxiliary head, by operator, most first.
        shape: of the images, [B, C, H, W].
        runs: forward passes that were timed.
    """

    parts: tuple[tuple[Part, Cost], ...]
    operators: dict[str, int]
    shape: tuple[int, ...]
    runs: int

    def to_dict(self) -> dict[str, Any]:
        """All of it in plain values."""
        parts = [
            {"name": part.name, "level": part.level, "modules": list(part.modules), **cost.to_dict()}
            for part, cost in self.parts
        ]
        return {"input": list(self.shape), "runs": self.runs, "parts": parts, "flops_by_operator": self.operators}


def no_progress(done: int, total: int) -> None:
    """An :data:`OnProgress` that does nothing."""


def measure_call(
    call: Callable[..., object],
    inputs: Sequence[Tensor],
    parts: Sequence[Part],
    gradients: bool = True,
    runs: int = 3,
    on_progress: OnProgress = no_progress,
) -> tuple[dict[Part, Cost], dict[str, int]]:
    """Measure one call: the cost of each part, and the operations of each operator.

    Args:
        call: runs the parts on ``inputs``, its arguments.
        inputs: at least one, without gradients, on the device of the parts.
        parts: from outer to inner ones.
        gradients: the inputs need gradients in training, as features do.
        runs: calls that are timed; 0: none.
        on_progress: called after each step.

    Raises:
        ValueError: a negative number of runs.
    """
    if runs < 0:
        raise ValueError(f"the number of timed runs must be 0 or more, got {runs}")
    device, steps = inputs[0].device, 3 + (runs > 0)
    forward = partial(call, *inputs)
    flops = count_flops(forward, parts)
    on_progress(1, steps)
    peaks = peak_bytes(forward, parts, device)
    on_progress(2, steps)
    kept = kept_bytes(partial(call, *(x.detach().requires_grad_(gradients) for x in inputs)), parts, inputs)
    on_progress(3, steps)
    seconds: dict[Part, float] = median_seconds(forward, parts, device, runs) if runs else {}
    on_progress(steps, steps)
    costs = {
        part: Cost(part.parameters, flops.parts[part], peaks[part], kept[part], seconds.get(part)) for part in parts
    }
    return costs, flops.operators


def measure_network(
    network: nn.Module, images: Tensor, runs: int = 3, on_progress: OnProgress = no_progress
) -> Complexity:
    """Measure a network and its parts, in evaluation mode; it is left as it was.

    The auxiliary head of a :class:`~dealias.models.SegmentationModel` is run by itself, on the encoder's features.

    Args:
        network: takes ``images``.
        images: [B, C, H, W], on the network's device.
        runs: forward passes that are timed; 0: none.
        on_progress: called after each step.

    Raises:
        ValueError: a negative number of runs, or the network does not take the images.

    >>> complexity = measure_network(nn.Sequential(nn.Conv2d(3, 8, 1)), torch.rand(1, 3, 4, 4), runs=1)
    >>> part, cost = complexity.parts[0]
    >>> part.name, cost.parameters, cost.macs, cost.peak_bytes
    ('network', 32, 384, 512)
    """
    parts = find_parts(network)
    with evaluating(network):
        costs, operators = measure_call(network, [images], parts, False, runs, on_progress)
        if isinstance(network, SegmentationModel) and network.auxiliary is not None:
            costs |= _measure_auxiliary(network.encoder, network.auxiliary, images, parts[-1], runs)
    return Complexity(tuple(costs.items()), operators, tuple(images.shape), runs)


def _measure_auxiliary(encoder: nn.Module, head: nn.Module, images: Tensor, part: Part, runs: int) -> dict[Part, Cost]:
    with torch.no_grad():
        features = encoder(images)
    return measure_call(lambda *levels: head(levels), features, [part], runs=runs)[0]


@contextlib.contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode; afterwards each is as it was."""
    before = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training
