# SPDX-License-Identifier: Apache-2.0
"""Where the taps of a moved kernel look: the part of the definition that the reference and the operator share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor


class Geometry(NamedTuple):
    """How a kernel lies on the map.

    Attributes:
        kernel_size: taps along one side.
        stride: pixels between neighbouring outputs.
        padding: pixels by which the first window begins before the map.
        dilation: pixels between neighbouring taps.
    """

    kernel_size: int
    stride: int
    padding: int
    dilation: int

    @property
    def middle(self) -> int:
        """The kernel's middle, from its first tap, in pixels; rounded down."""
        return self.dilation * (self.kernel_size - 1) // 2

    def out_size(self, size: int) -> int:
        """Outputs along an axis of ``size`` pixels, as of a convolution."""
        return (size + 2 * self.padding - self.dilation * (self.kernel_size - 1) - 1) // self.stride + 1

    def taps(self, count: int) -> list[tuple[int, int]]:
        """The taps (x, y) about the middle, in pixels, column by column; those ``count`` that leave out the central."""
        steps = [self.dilation * i - self.middle for i in range(self.kernel_size)]
        taps = [(x, y) for x in steps for y in steps]
        return taps if count == len(taps) else [tap for tap in taps if tap != (0, 0)]


def tap_points(offsets: Tensor, geometry: Geometry, offset_scale: float) -> Iterator[Tensor]:
    """For one tap after the other, the points [B, groups, 2, OH, OW] at which it samples, (x, y) in pixels.

    Args:
        offsets: [B, groups, taps, 2, OH, OW], float32 or float64.
        geometry: how the kernel lies on the map.
        offset_scale: enlarges the kernel and its offsets.
    """
    height, width = offsets.shape[-2:]
    start = geometry.middle - geometry.padding
    x, y = (start + geometry.stride * torch.arange(n, device=offsets.device) for n in (width, height))
    centres = torch.stack(torch.broadcast_tensors(x, y[:, None])).to(offsets.dtype)
    for index, tap in enumerate(geometry.taps(offsets.shape[2])):
        moved = [place + distance for place, distance in zip(offsets[:, :, index].unbind(2), tap, strict=True)]
        yield centres + offset_scale * torch.stack(moved, dim=2)
