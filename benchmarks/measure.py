# SPDX-License-Identifier: Apache-2.0
"""Time, memory and bandwidth, measured alike for every form and device.

Wall-clock times on a shared machine move by a factor of two within minutes. The forms therefore take turns, and what is
compared is the ratio within a turn.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch.profiler import ProfilerActivity, profile

Call = Callable[[], object]

_FEWEST_TURNS, _MOST_TURNS, _WARM_UP_TURNS = 5, 50, 2
_CACHE_FLUSH_BYTES = 256 * 2**20
"""More than any GPU's last-level cache: written before each timed call, whose data then comes from memory."""


def take_turns(calls: Mapping[str, Call], device: torch.device, seconds: float) -> dict[str, list[float]]:
    """Seconds per call: all forms once per turn, for about ``seconds`` in total, in an order that rotates."""
    names = list(calls)
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(_WARM_UP_TURNS):
        for name in names:
            time_once(calls[name], device)
    start = perf_counter()
    for turn in range(_MOST_TURNS):
        if turn >= _FEWEST_TURNS and perf_counter() - start > seconds:
            break
        for step in range(len(names)):
            name = names[(turn + step) % len(names)]
            times[name].append(time_once(calls[name], device))
    return times


def time_once(call: Call, device: torch.device) -> float:
    """Seconds of one call: wall clock on a CPU, events around the call on a GPU with its cache flushed."""
    if device.type != "cuda":
        start = perf_counter()
        call()
        return perf_counter() - start
    torch.empty(_CACHE_FLUSH_BYTES, dtype=torch.uint8, device=device).zero_()
    start_event, end_event = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start_event.record()
    call()
    end_event.record()
    torch.cuda.synchronize(device)
    return start_event.elapsed_time(end_event) / 1000


def ratio(theirs: list[float], ours: list[float]) -> dict[str, float]:
    """How many times longer ``theirs`` took than ``ours``: median and quartiles of the turns' ratios."""
    turns = torch.tensor(theirs) / torch.tensor(ours)
    low, middle, high = turns.quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
    return {"median": middle, "lower_quartile": low, "upper_quartile": high}


def peak_extra_bytes(call: Call, device: torch.device) -> int:
    """Most bytes that tensors made during ``call`` held at once, its results included; not a library's scratch."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        result = call()
        torch.cuda.synchronize(device)
        del result
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = call()
    del result
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = [event for event in json.loads(trace.read_text())["traceEvents"] if event.get("name") == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event["ts"]):
        held += event["args"]["Bytes"]
        peak = max(peak, held)
    return peak


def copy_bandwidth(device: torch.device, turns: int = 7) -> float:
    """Bytes per second, read and written, of copying a large tensor."""
    source = torch.ones(_CACHE_FLUSH_BYTES // 4, device=device)
    target = torch.empty_like(source)
    times = take_turns({"copy": lambda: target.copy_(source)}, device, seconds=turns * 0.1)["copy"]
    return 2 * _CACHE_FLUSH_BYTES / median(times)
