# SPDX-License-Identifier: Apache-2.0
"""Calling compiled kernels on tensors: what fits, and how arguments are passed."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from dealias.kernels import kernel_status, load_kernels

TYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
"""Types of the kernels, and how their functions' names end."""

OPERATORS = ("deformable_aggregation", "local_similarity", "point_sample", "reassemble", "reassemble_softmax")
"""What there are compiled kernels of."""


def refusal_of(*tensors: Tensor) -> str | None:
    """Why no compiled kernel can run on these tensors, None if one can."""
    if load_kernels() is None:
        return kernel_status().reason
    for tensor in tensors:
        if tensor.device.type != "cpu":
            return f"a tensor is on {tensor.device}"
        if tensor.dtype not in TYPES:
            return f"they take {' and '.join(TYPES.values())}, not {str(tensor.dtype).removeprefix('torch.')}"
    return None


def call(name: str, dtype: torch.dtype, *arguments: Tensor | Sequence[int] | int | None) -> None:
    """Call ``dealias_NAME_DTYPE`` with pointers to contiguous tensors, arrays of long and longs, threads last."""
    library = load_kernels()
    assert library is not None  # see refusal_of
    passed = [_passed(argument) for argument in arguments]
    getattr(library, f"dealias_{name}_{TYPES[dtype]}")(*passed, ctypes.c_long(torch.get_num_threads()))


def _passed(
    argument: Tensor | Sequence[int] | int | None,
) -> ctypes.c_void_p | ctypes.c_long | ctypes.Array[ctypes.c_long]:
    if argument is None:
        return ctypes.c_void_p(None)
    if isinstance(argument, Tensor):
        return ctypes.c_void_p(argument.data_ptr())
    if isinstance(argument, int):
        return ctypes.c_long(argument)
    return (ctypes.c_long * len(argument))(*argument)
