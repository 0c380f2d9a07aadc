# SPDX-License-Identifier: Apache-2.0
"""Kernel normalisation in plain torch: the definition (FreqFusion, arXiv:2408.12879, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor


def kernel_normalize_reference(logits: Tensor, kernel_size: int, window: Tensor | None) -> Tensor:
    """Softmax over each kernel's taps, times ``window``, divided by the sum; differentiable, on any device.

    Shapes and rules are those of :func:`~dealias.ops.kernel_normalize`. A windowed, renormalised softmax is the softmax
    of the logits plus the logarithm of the window, and it is computed so: one division, and no tap can underflow the
    sum.
    """
    n, c, h, w = logits.shape
    wide = torch.promote_types(logits.dtype, torch.float32)
    taps = logits.reshape(n, c // kernel_size**2, kernel_size**2, h, w).to(wide)
    if window is not None:
        taps = taps + window.to(taps.dtype).log().reshape(-1, 1, 1)
    return taps.softmax(dim=2).reshape(logits.shape).to(logits.dtype).contiguous()
