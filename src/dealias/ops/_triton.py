# SPDX-License-Identifier: Apache-2.0
"""Triton kernels: whether they can compute a call, and their launch. Imports triton only where a kernel runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from .backend import current_backend

TYPES = (torch.float32, torch.bfloat16, torch.float16)
"""Types of the kernels; all of them add up in float32."""

OPERATORS = ("deformable_aggregation", "local_similarity", "reassemble", "reassemble_softmax")
"""What there are Triton kernels of."""

_LARGEST_SAMPLE = 2**29  # four times as many, at twice the size, are counted in int32
_OLDEST_CAPABILITY = (8, 0)


def interpreted() -> bool:
    """Whether triton's interpreter runs the kernels, on any device: if triton finds this when it is first imported."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@cache
def unavailable() -> str | None:
    """Why no Triton kernel can run in this process, None if one can."""
    if find_spec("triton") is None:
        return "triton is not installed"
    if not (interpreted() or torch.cuda.is_available()):
        return "there is no CUDA device, and TRITON_INTERPRET=1 is not set"
    return None


def refusal_of(*tensors: Tensor) -> str | None:
    """Why no Triton kernel can run on these tensors, None if one can."""
    if unavailable() is not None:
        return unavailable()
    if interpreted() and current_backend() != "triton":
        return "triton's interpreter is slow, and runs on request only"
    for tensor in tensors:
        if not (interpreted() or tensor.is_cuda):
            return f"a tensor is on {tensor.device}"
        if tensor.is_cuda and _capability(tensor.get_device()) < _OLDEST_CAPABILITY:
            return f"they need compute capability {'.'.join(map(str, _OLDEST_CAPABILITY))}"
        if tensor.dtype not in TYPES:
            names = [str(dtype).removeprefix("torch.") for dtype in (*TYPES, tensor.dtype)]
            return f"they take {', '.join(names[:-1])}, not {names[-1]}"
        if tensor.numel() > _LARGEST_SAMPLE * len(tensor):
            return f"a sample has more than {_LARGEST_SAMPLE} elements"
    return None


def launch(
    kernel: Any,
    grid: tuple[int, ...] | Callable[[Mapping[str, int]], tuple[int, ...]],
    *arguments: Tensor | float | None,
    **constants: int | bool,
) -> None:
    """Run a kernel on the device of its first argument, a tensor; pass every tensor contiguous."""
    given = [argument.contiguous() if isinstance(argument, Tensor) else argument for argument in arguments]
    with torch.cuda.device_of(given[0]):
        kernel[grid](*given, **constants)


@cache
def _capability(device: int) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)
