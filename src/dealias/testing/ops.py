# SPDX-License-Identifier: Apache-2.0
"""What every operator promises: the values and gradients of its reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .tolerances import assert_close


def check_op(op: Callable[..., Tensor], reference: Callable[..., Tensor], inputs: Sequence[Any]) -> None:
    """An operator equals its reference in value and in every gradient, passes gradcheck and keeps its dtype.

    Args:
        op: the public operator.
        reference: the same computation in plain differentiable torch, same arguments.
        inputs: arguments in order; floating tensors among them are converted and differentiated.

    Raises:
        AssertionError: a value, gradient or dtype differs.
    """
    for dtype in (torch.float64, torch.float32):
        ours, theirs = (_as_leaves(inputs, dtype) for _ in range(2))
        actual, expected = op(*ours), reference(*theirs)
        assert_close(actual, expected)
        cotangent = torch.randn(actual.shape, dtype=actual.dtype, generator=torch.Generator().manual_seed(0))
        for a, e in zip(_gradients(actual, ours, cotangent), _gradients(expected, theirs, cotangent), strict=True):
            assert_close(a, e)
    if not torch.autograd.gradcheck(op, tuple(_as_leaves(inputs, torch.float64))):
        raise AssertionError("gradcheck failed")


def _as_leaves(inputs: Sequence[Any], dtype: torch.dtype) -> list[Any]:
    return [
        value.to(dtype).detach().clone().requires_grad_() if isinstance(value, Tensor) else value for value in inputs
    ]


def _gradients(output: Tensor, inputs: Sequence[Any], cotangent: Tensor) -> tuple[Tensor, ...]:
    leaves = [value for value in inputs if isinstance(value, Tensor)]
    return torch.autograd.grad(output, leaves, cotangent)
