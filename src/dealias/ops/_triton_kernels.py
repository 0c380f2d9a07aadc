# SPDX-License-Identifier: Apache-2.0
"""What the Triton kernels share; imports triton, and is imported when a kernel first runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import triton
import triton.language as tl

from ._triton import interpreted

_IN_INTERPRETER = triton.Config({"PIXELS": 32, "CHANNELS": 16})


def tuned(configs: Sequence[tuple[int, int, int]], key: Sequence[str], **options: Any) -> Callable[..., Any]:
    """``triton.autotune`` over blocks; one block in the interpreter, whose time is not that of any device.

    Args:
        configs: pixels and channels of a program, and its warps.
        key: arguments that a choice is made for; dtypes are always among them.
        **options: as of ``triton.autotune``.
    """
    made = [triton.Config({"PIXELS": pixels, "CHANNELS": channels}, warps) for pixels, channels, warps in configs]
    return triton.autotune([_IN_INTERPRETER] if interpreted() else made, list(key), **options)


@triton.jit
def inside(row: tl.tensor, column: tl.tensor, height: tl.tensor, width: tl.tensor) -> tl.tensor:
    """Whether pixels are on the map; vectors, not scalars, whose mixed conjunctions the interpreter gets wrong."""
    return (row >= 0) & (row < height) & (column >= 0) & (column < width)
