# SPDX-License-Identifier: Apache-2.0
"""Reassembly by normalised kernels in plain torch: the two definitions, one after the other."""

from __future__ import annotations

from torch import Tensor

from ..kernel_normalize import kernel_normalize_reference
from ..reassemble import reassemble_reference


def reassemble_softmax_reference(
    x: Tensor,
    logits: Tensor,
    kernel_size: int,
    window: Tensor | None,
    groups: int,
    scale: int,
    dilation: int = 1,
    sharpen: bool = False,
) -> Tensor:
    """Shapes and rules are those of :func:`~dealias.ops.reassemble_softmax`; differentiable, on any device."""
    kernels = kernel_normalize_reference(logits, kernel_size, window)
    out = reassemble_reference(x, kernels, groups, scale, dilation)
    return 2 * x - out if sharpen else out
