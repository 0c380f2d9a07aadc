# SPDX-License-Identifier: Apache-2.0
"""FLC pooling: "FrequencyLowCut Pooling - Plug & Play against Catastrophic Overfitting" (arXiv:2204.00491)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..ops.spectrum import low_pass
from .base import Prefilter


class FrequencyLowCut(Prefilter):
    """Remove every frequency above the Nyquist frequency of the coarse grid: ``|f| <= 0.5 / stride`` on both axes.

    Followed by the stride this is the pooling of the paper: what is sampled has no frequency that could fold. The map
    counts as periodic. No parameters. See :class:`~dealias.filters.Prefilter` for shapes, and :func:`crop_spectrum` for
    the pooling as published, in one step.

    Args:
        channels: channels of the map, or ``None`` for any number.
        stride: step of the layer that follows, pixels.
    """

    def filter(self, x: Tensor) -> Tensor:
        """Filter x [B, C, H, W]: same shape."""
        return low_pass(x, 0.5 / self.stride)


def crop_spectrum(x: Tensor) -> Tensor:
    """Halve a map by keeping the middle half of its shifted spectrum, as published; values keep their mean.

    Rows ``int(H/4)`` to ``int(3H/4) - 1`` of H are kept, columns alike. For sizes of 2 modulo 4 the middle of what is
    kept is not the zero frequency but its neighbour, which turns a constant into one period of a cosine;
    :class:`FrequencyLowCut` and a stride have no such case. Computed by complex Fourier transforms.

    Args:
        x: [B, C, H, W], floating point, H and W at least 2.

    Returns:
        [B, C, int(3H/4) - int(H/4), int(3W/4) - int(W/4)], the real part, dtype of ``x``.

    Raises:
        ValueError: another rank, no floating map, or a side of one pixel.

    >>> crop_spectrum(torch.full((1, 1, 8, 4), 3.0))[0, 0, 0]
    tensor([3., 3.])
    """
    if x.ndim != 4 or not x.is_floating_point() or min(x.shape[-2:]) < 2:
        raise ValueError(
            f"crop_spectrum: x must be floating [B, C, H, W], H and W at least 2, got {x.dtype} {tuple(x.shape)}"
        )
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    spectrum = torch.fft.fftshift(torch.fft.fft2(wide, norm="forward"), dim=(-2, -1))
    rows, columns = (slice(size // 4, 3 * size // 4) for size in x.shape[-2:])
    kept = torch.fft.ifftshift(spectrum[..., rows, columns], dim=(-2, -1))
    return torch.fft.ifft2(kept, norm="forward").real.to(x.dtype)
