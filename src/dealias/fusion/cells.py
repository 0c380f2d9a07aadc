# SPDX-License-Identifier: Apache-2.0
"""Any ratio of sizes as an integer one: fine pixels sorted into the coarse pixels that they lie in.

Fine pixel i lies in coarse pixel ``floor((i + 1/2) * coarse / fine)``. At most ``scale = ceil(fine / coarse)`` of them
share one, so that a grid of ``coarse * scale`` slots, ``scale`` per coarse pixel, holds them all. What works at the
integer ratio ``scale`` is done on the slots; those that are left over hold some other pixel, and nobody reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor


@dataclass(frozen=True)
class Axis:
    """One axis of the slots.

    Attributes:
        home: the coarse pixel of each slot, [coarse*scale], int64.
        pixel: the fine pixel in each slot, [coarse*scale], int64.
        offset: from the centre of a slot's coarse pixel to the centre of its fine one, in coarse pixels,
            [coarse*scale]: in [-1/2, 1/2) but for slots that are left over.
        slot: the slot of each fine pixel, [fine], int64.
        exact: slots and fine pixels are the same.
    """

    home: Tensor
    pixel: Tensor
    offset: Tensor
    slot: Tensor
    exact: bool

    @classmethod
    def between(cls, fine: int, coarse: int, scale: int, like: Tensor) -> Axis:
        """Sort one axis.

        Args:
            fine: pixels of the fine axis.
            coarse: pixels of the coarse axis.
            scale: slots per coarse pixel, at least ``ceil(fine / coarse)``.
            like: a tensor with the device of the axis and the floating dtype of the offsets.

        >>> axis = Axis.between(5, 2, 3, like=torch.zeros(()))
        >>> axis.pixel.tolist(), axis.slot.tolist()
        ([0, 1, 2, 2, 3, 4], [0, 1, 3, 4, 5])
        >>> axis.offset[axis.slot]
        tensor([-0.3000,  0.1000, -0.5000, -0.1000,  0.3000])
        """
        every = torch.arange(coarse * scale, device=like.device)
        home = _floor(every, scale)
        pixel = (_first(home, fine, coarse) + every % scale).clamp(max=fine - 1)
        ahead = (2 * pixel + 1) * coarse - (2 * home + 1) * fine  # an integer, exact in the longest axes
        fine_pixel = torch.arange(fine, device=like.device)
        cell = _floor((2 * fine_pixel + 1) * coarse, 2 * fine)
        slot = cell * scale + fine_pixel - _first(cell, fine, coarse)
        exact = not torch.compiler.is_exporting() and fine == coarse * scale
        return cls(home, pixel, ahead.to(like.dtype) / (2 * fine), slot, exact)


@dataclass(frozen=True)
class Cells:
    """Both axes of the slots.

    Attributes:
        scale: slots per coarse pixel and axis, an integer.
        rows: the vertical axis.
        columns: the horizontal axis.
    """

    scale: int
    rows: Axis
    columns: Axis

    @classmethod
    def between(cls, fine: Sequence[int], coarse: Sequence[int], like: Tensor) -> Cells:
        """Sort the pixels of a map.

        Args:
            fine: rows and columns of the fine map.
            coarse: rows and columns of the coarse map.
            like: a tensor with the device of the axes and the floating dtype of the offsets.
        """
        most = [-(-large // small) for large, small in zip(fine, coarse, strict=True)]
        scale = cast(int, torch.sym_max(*most))  # where sizes are symbols, one more that behaves as an int
        rows, columns = (Axis.between(*sizes, scale, like) for sizes in zip(fine, coarse, strict=True))
        return cls(scale, rows, columns)

    def to_slots(self, x: Tensor) -> Tensor:
        """Put the pixels of the fine map ``x`` [B, C, H, W] into their slots: [B, C, h*scale, w*scale]."""
        x = x if self.rows.exact else x.index_select(2, self.rows.pixel)
        return x if self.columns.exact else x.index_select(3, self.columns.pixel)

    def from_slots(self, x: Tensor) -> Tensor:
        """Undo :meth:`to_slots`: [B, C, h*scale, w*scale] to [B, C, H, W]."""
        x = x if self.rows.exact else x.index_select(2, self.rows.slot)
        return x if self.columns.exact else x.index_select(3, self.columns.slot)


def _first(cell: Tensor, fine: int, coarse: int) -> Tensor:
    """The first fine pixel that lies in coarse pixel ``cell`` or beyond: least i, (2i + 1) coarse >= 2 cell fine."""
    return -_floor(coarse - 2 * cell * fine, 2 * coarse)


def _floor(x: Tensor, divisor: int) -> Tensor:
    return torch.div(x, divisor, rounding_mode="floor")
