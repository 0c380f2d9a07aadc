# SPDX-License-Identifier: Apache-2.0
"""How long the parts of a network take: the median of a few calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import Any

import torch

from .parts import Part, watching


def median_seconds(
    call: Callable[[], object], parts: Sequence[Part], device: torch.device, runs: int
) -> dict[Part, float]:
    """Median over ``runs`` calls of the seconds that each part takes, without gradients.

    Call once before: what is made at first use, such as the choice of an algorithm, would be measured too.

    Args:
        call: runs the parts.
        parts: from outer to inner ones.
        device: where they run; work of a GPU is timed there.
        runs: number of calls, at least 1.
    """
    times: dict[Part, list[float]] = {part: [] for part in parts}
    for _ in range(runs):
        for part, seconds in _time_once(call, parts, device).items():
            times[part].append(seconds)
    return {part: median(seconds) for part, seconds in times.items()}


def _time_once(call: Callable[[], object], parts: Sequence[Part], device: torch.device) -> dict[Part, float]:
    spans: list[tuple[Part, Any, Any]] = []

    @contextmanager
    def timed(part: Part) -> Iterator[None]:
        start = _mark(device)
        yield
        spans.append((part, start, _mark(device)))

    with torch.no_grad(), watching(parts, timed):
        call()
    total = dict.fromkeys(parts, 0.0)
    for part, start, end in spans:
        total[part] += _seconds(start, end, device)
    return total


def _mark(device: torch.device) -> Any:
    """A moment: seconds of the clock, or for a GPU an event in the order of its work."""
    if device.type != "cuda":
        return perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record(torch.cuda.current_stream(device))
    return event


def _seconds(start: Any, end: Any, device: torch.device) -> float:
    if device.type != "cuda":
        return end - start
    end.synchronize()
    return start.elapsed_time(end) / 1000
