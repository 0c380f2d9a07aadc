# SPDX-License-Identifier: Apache-2.0
"""Adaptive blur: "Delving deeper into anti-aliasing in ConvNets" (BMVC 2020, arXiv:2008.09604)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..ops import kernel_normalize, reassemble
from .base import Prefilter
from .border import check_border, pad

_GROUPS = 8


class AdaptiveBlur(Prefilter):
    """Weigh every pixel's window by a kernel predicted for it: ``softmax(norm(conv(x)))`` over the k*k taps.

    One kernel per pixel and channel group; its taps sum to 1 and are positive, so that it can only blur. The kernels
    and the windowed features see the same border. See :class:`~dealias.filters.Prefilter` for shapes.

    Args:
        channels: channels of the map.
        stride: step of the layer that follows; has no influence.
        kernel_size: side k of the kernels, odd.
        groups: channel groups with kernels of their own; by default the greatest common divisor of 8, the published
            number, and ``channels``.
        border: ``"reflect"``, ``"replicate"`` or ``"zero"``; see :func:`dealias.filters.border.pad` for small maps.
        released: one softmax over the taps of all groups together, as the published code has it, to use published
            weights: a group's kernel then no longer sums to 1, and the map loses a factor of about ``groups``.

    Raises:
        ValueError: an even kernel, groups that do not divide the channels, or the border.
    """

    needs_channels = True

    def __init__(
        self,
        channels: int,
        stride: int = 2,
        kernel_size: int = 3,
        groups: int | None = None,
        border: str = "reflect",
        released: bool = False,
    ) -> None:
        super().__init__(channels, stride)
        groups = math.gcd(_GROUPS, channels) if groups is None else groups
        if kernel_size < 1 or kernel_size % 2 == 0 or groups < 1 or channels % groups:
            raise ValueError(
                "AdaptiveBlur: kernel_size must be odd and groups divide channels, "
                f"got {kernel_size=}, {groups=}, {channels=}"
            )
        check_border(border, "AdaptiveBlur")
        self.kernel_size, self.groups, self.border, self.released = kernel_size, groups, border, released
        self.conv = nn.Conv2d(channels, groups * kernel_size**2, kernel_size, bias=False)
        self.norm = nn.BatchNorm2d(groups * kernel_size**2)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def filter(self, x: Tensor) -> Tensor:
        """Blur x [B, channels, H, W]: same shape."""
        reach = self.kernel_size // 2
        height, width = x.shape[-2:]
        padded = pad(x, reach, reach, self.border)
        kernels = pad(self.kernels(padded), reach, reach, "zero")
        out = reassemble(padded, kernels.to(padded.dtype), self.groups)
        return out[..., reach : reach + height, reach : reach + width].to(x.dtype)

    def kernels(self, padded: Tensor) -> Tensor:
        """The kernels, [B, groups * k * k, H, W], from the map with ``k // 2`` pixels of border on every side."""
        logits = self.norm(self.conv(padded))
        if not self.released:
            return kernel_normalize(logits, self.kernel_size)
        return logits.softmax(dim=1, dtype=torch.promote_types(logits.dtype, torch.float32)).to(logits.dtype)

    def extra_repr(self) -> str:
        """What ``print`` shows of it."""
        return f"{super().extra_repr()}, kernel_size={self.kernel_size}, groups={self.groups}"
