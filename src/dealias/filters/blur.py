# SPDX-License-Identifier: Apache-2.0
"""Binomial blur before a stride: "Making convolutional networks shift-invariant again" (arXiv:1904.11486)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import Prefilter
from .border import check_border, pad

_LONGEST = 7


class Blur(Prefilter):
    """Convolve every channel with the binomial coefficients of ``taps - 1`` along both axes (box, triangle, 1 4 6 4 1).

    An even number of taps has no middle one: the result is half a pixel up and left, as published. Under autocast it
    has autocast's dtype, as of any convolution. See :class:`~dealias.filters.Prefilter` for shapes.

    Args:
        channels: channels of the map, or ``None`` for any number.
        stride: step of the layer that follows; has no influence.
        taps: length of the kernel, 1-7.
        border: ``"reflect"``, ``"replicate"`` or ``"zero"``; see :func:`dealias.filters.border.pad` for small maps.

    Raises:
        ValueError: taps or border out of range.

    >>> Blur(1, taps=3)(torch.tensor([[[[0.0, 0.0, 4.0, 0.0, 0.0]]]]))
    tensor([[[[0., 1., 2., 1., 0.]]]])
    """

    kernel: Tensor

    def __init__(self, channels: int | None, stride: int = 2, taps: int = 3, border: str = "reflect") -> None:
        super().__init__(channels, stride)
        if not 1 <= taps <= _LONGEST:
            raise ValueError(f"Blur: taps must be 1-{_LONGEST}, got {taps}")
        check_border(border, "Blur")
        self.taps, self.border = taps, border
        self.register_buffer("kernel", binomial_kernel(taps), persistent=False)

    def filter(self, x: Tensor) -> Tensor:
        """Blur x [B, C, H, W]: same shape."""
        if self.taps == 1:
            return x
        weight = self.kernel.to(x.dtype).expand(x.shape[1], 1, -1, -1)
        before = (self.taps - 1) // 2
        return F.conv2d(pad(x, before, self.taps - 1 - before, self.border), weight, groups=x.shape[1])

    def extra_repr(self) -> str:
        """What ``print`` shows of it."""
        return f"{super().extra_repr()}, taps={self.taps}, border={self.border!r}"


def binomial_kernel(taps: int) -> Tensor:
    """The outer product of two rows of Pascal's triangle, of sum 1: [taps, taps].

    >>> binomial_kernel(3) * 16
    tensor([[1., 2., 1.],
            [2., 4., 2.],
            [1., 2., 1.]])
    """
    row = torch.tensor([float(math.comb(taps - 1, t)) for t in range(taps)])
    return torch.outer(row, row) / 4 ** (taps - 1)
