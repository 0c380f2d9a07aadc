# SPDX-License-Identifier: Apache-2.0
"""One case to the rows of its results: the correctness gate, then time, memory and bandwidth in each direction."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor

from dealias.ops import use_backend
from dealias.testing import TOLERANCES
from measure import peak_extra_bytes, ratio, take_turns
from problem import OURS, TORCH, Case, Problem

LARGEST_DIFFERENCE = TOLERANCES | {torch.float32: 10 * TOLERANCES[torch.float32]}
"""Allowed between two forms, relative to the tensor's largest value: in float32, for whole modules, ten times an
operator's."""

DIRECTIONS = ("forward", "with backward")

PLAIN = "plain"

BACKENDS = {TORCH: "torch"}
"""What computes our operators in a form; in others what runs by itself."""


class FormsDiffer(Exception):
    """The correctness gate: two forms of one function gave different numbers."""


def measure_case(case: Case, device: torch.device, seconds: float, bandwidth: float) -> list[dict[str, Any]]:
    """A row per direction.

    Raises:
        FormsDiffer: the forms do not compute the same function; nothing is timed then.
    """
    problem = case.build(device)
    difference = largest_difference(case, problem)
    rows = []
    for direction in DIRECTIONS if problem.backward else DIRECTIONS[:1]:
        calls = {name: as_call(problem, name, direction) for name in problem.forms}
        if problem.plain is not None:
            calls[PLAIN] = as_call(problem.plain, OURS, direction)
        times = take_turns(calls, device, seconds)
        least = least_bytes(problem, direction)
        rows.append(
            {
                "case": case.name,
                "direction": direction,
                "dtype": str(problem.cotangents[0].dtype).removeprefix("torch."),
                "largest_relative_difference": difference,
                "least_bytes": least,
                "share_of_copy_bandwidth": least / median(times[OURS]) / bandwidth,
                "turns": len(times[OURS]),
                "median_seconds": {name: median(values) for name, values in times.items()},
                "ratio": {name: ratio(times[name], times[OURS]) for name in problem.forms if name != OURS},
                "times_plain": {name: ratio(times[name], times[PLAIN]) for name in problem.forms if PLAIN in calls},
                "peak_extra_bytes": {name: peak_extra_bytes(calls[name], device) for name in problem.forms},
            }
        )
    return rows


def as_call(problem: Problem, name: str, direction: str) -> Callable[[], tuple[Tensor, ...]]:
    form, backend = problem.forms[name], BACKENDS.get(name, "auto")

    def call() -> tuple[Tensor, ...]:
        with use_backend(backend), torch.set_grad_enabled(direction != DIRECTIONS[0]):
            outputs = form()
            if direction == DIRECTIONS[0]:
                return outputs
            gradients = torch.autograd.grad(outputs, problem.inputs, problem.cotangents)
        return (*(output.detach() for output in outputs), *gradients)

    return call


def largest_difference(case: Case, problem: Problem) -> float:
    """The correctness gate: the largest difference of every form's outputs and gradients from ours, relative.

    Raises:
        FormsDiffer: a difference is above :data:`LARGEST_DIFFERENCE`.
    """
    everything = DIRECTIONS[1] if problem.backward and problem.gradients_compared else DIRECTIONS[0]
    results = {name: as_call(problem, name, everything)() for name in problem.forms}
    largest = 0.0
    for name, theirs in results.items():
        for position, (mine, other) in enumerate(zip(results[OURS], theirs, strict=True)):
            difference = float((mine.float() - other.float()).abs().max() / other.abs().max())
            if not difference <= LARGEST_DIFFERENCE[mine.dtype]:
                gradient = position - len(problem.cotangents)
                what = f"output {position}" if gradient < 0 else f"gradient {gradient}"
                raise FormsDiffer(f"{case.name}, {what}: {name} differs by {difference:.1e} of the largest value")
            largest = max(largest, difference)
    return largest


def least_bytes(problem: Problem, direction: str) -> int:
    """Every input read and every output written once; backward as much again, and the gradients written."""
    inputs, outputs = (sum(tensor.nbytes for tensor in group) for group in (problem.inputs, problem.cotangents))
    return inputs + outputs if direction == "forward" else 3 * inputs + 2 * outputs
