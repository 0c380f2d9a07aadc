# SPDX-License-Identifier: Apache-2.0
"""The ideal low-pass as a mask on the complex spectrum: the definition (arXiv:2403.09065, section 4)."""

from __future__ import annotations

import torch
from torch import Tensor

from .band import axis_mask


def low_pass_reference(x: Tensor, cutoff: float, released: bool = False) -> Tensor:
    """Transform, keep a rectangle of the spectrum, transform back, real part; differentiable, on any device.

    Shapes and rules are those of :func:`~dealias.ops.low_pass`.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    rows, columns = (axis_mask(size, cutoff, released, x.device) for size in x.shape[-2:])
    spectrum = torch.fft.fft2(wide) * (rows[:, None] & columns)
    return torch.fft.ifft2(spectrum).real.to(x.dtype)
