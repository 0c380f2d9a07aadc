# SPDX-License-Identifier: Apache-2.0
"""Activation memory: the most that a forward pass holds at once, and what it keeps for the backward pass."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile, record_function

from .parts import Part, watching

_LABEL = "dealias part "
_DEVICE_TYPES = {"cpu": 0, "cuda": 1}  # of the profiler's records


def silence_profiler() -> None:
    """Let the profiler, which counts memory, write nothing to the terminal; call it before its first use."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")


def peak_bytes(call: Callable[[], object], parts: Sequence[Part], device: torch.device) -> dict[Part, int]:
    """Most bytes that each part holds at once while it runs without gradients, its result included.

    What was held when a part began, such as weights and inputs, does not count. Everything that torch allocates does,
    inside operators too; what libraries such as oneDNN allocate by themselves does not.

    Args:
        call: runs the parts.
        parts: from outer to inner ones.
        device: where the memory is.
    """
    labels = {f"{_LABEL}{number}": part for number, part in enumerate(parts)}
    names = {part: label for label, part in labels.items()}
    with (
        torch.no_grad(),
        profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler,
        watching(parts, lambda part: record_function(names[part])),
    ):
        result = call()
    del result
    peaks = dict.fromkeys(parts, 0)
    for label, peak in _peaks(_trace(profiler), _DEVICE_TYPES[device.type]):
        peaks[labels[label]] = max(peaks[labels[label]], peak)
    return peaks


def kept_bytes(call: Callable[[], object], parts: Sequence[Part], beside: Iterable[Tensor]) -> dict[Part, int]:
    """Bytes that autograd keeps of each part's forward pass until the backward pass.

    A storage that several tensors share counts once in a part; one that two parts keep counts in both.

    Args:
        call: runs the parts.
        parts: from outer to inner ones.
        beside: inputs and others that exist anyway; parameters and buffers of the parts never count.
    """
    exempt = [*beside, *(tensor for part in parts for tensor in part.tensors())]
    known = {tensor.untyped_storage().data_ptr() for tensor in exempt}
    kept: dict[Part, dict[int, torch.UntypedStorage]] = {part: {} for part in parts}
    running: list[Part] = []

    @contextmanager
    def run(part: Part) -> Iterator[None]:
        running.append(part)
        yield
        running.pop()

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()  # held below, so that no other storage takes its address
        if storage.data_ptr() not in known:
            for part in running:
                kept[part][storage.data_ptr()] = storage
        return tensor

    with torch.enable_grad(), saved_tensors_hooks(keep, lambda tensor: tensor), watching(parts, run):
        call()
    return {part: sum(storage.nbytes() for storage in storages.values()) for part, storages in kept.items()}


def _trace(profiler: profile) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    return events


def _peaks(events: Sequence[dict[str, Any]], device_type: int) -> Iterator[tuple[str, int]]:
    """The label of every labelled span of time, and the most bytes above those at its beginning."""
    changes = [
        (event["ts"], event["args"]["Bytes"])
        for event in events
        if event.get("name") == "[memory]" and event["args"]["Device Type"] == device_type
    ]
    changes.sort(key=lambda change: change[0])
    for event in events:
        if event.get("name", "").startswith(_LABEL) and event.get("ph") == "X":
            yield event["name"], _highest(changes, event["ts"], event["ts"] + event["dur"])


def _highest(changes: Sequence[tuple[float, int]], start: float, end: float) -> int:
    held = highest = 0
    for time, change in changes:
        if start <= time <= end:
            held += change
            highest = max(highest, held)
    return highest
