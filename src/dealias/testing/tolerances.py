# SPDX-License-Identifier: Apache-2.0
"""How close is close: one table of tolerances, and the comparisons that use it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

TOLERANCES: dict[torch.dtype, float] = {
    torch.float64: 1e-9,
    torch.float32: 1e-5,
    torch.float16: 5e-3,
    torch.bfloat16: 4e-2,
}
"""Largest allowed difference, relative to the largest expected magnitude, by the lower of two precisions."""


def assert_close(actual: Tensor, expected: Tensor, dtype: torch.dtype | None = None) -> None:
    """Compare two tensors of one shape by the table of tolerances.

    Args:
        actual: any floating dtype.
        expected: the same shape.
        dtype: row of :data:`TOLERANCES`; by default the less precise of the two dtypes.

    Raises:
        AssertionError: shapes differ, a value is not finite where the other is, or the difference is too large.

    >>> assert_close(torch.ones(2), torch.ones(2, dtype=torch.float64) + 1e-7)
    """
    if actual.shape != expected.shape:
        raise AssertionError(f"shape {tuple(actual.shape)}, expected {tuple(expected.shape)}")
    if actual.numel() == 0:
        return
    row = dtype or max((actual.dtype, expected.dtype), key=lambda d: TOLERANCES[d])
    a, e = actual.detach().double(), expected.detach().double()
    error, largest = (a - e).abs().max().item(), e.abs().max().item()
    if not error <= TOLERANCES[row] * max(largest, 1e-30):
        raise AssertionError(
            f"largest difference {error:.3g} at magnitude {largest:.3g}: relative {error / max(largest, 1e-30):.3g}, "
            f"allowed {TOLERANCES[row]:.0e} ({row})"
        )


def assert_shape(x: Tensor, shape: Sequence[int]) -> None:
    """Raise ``AssertionError`` unless ``x`` has this shape and only finite values."""
    if tuple(x.shape) != tuple(shape):
        raise AssertionError(f"shape {tuple(x.shape)}, expected {tuple(shape)}")
    if not x.isfinite().all():
        raise AssertionError(f"values that are not finite in a map of shape {tuple(x.shape)}")
