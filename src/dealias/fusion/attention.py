# SPDX-License-Identifier: Apache-2.0
"""Spatial self-attention without parameters, over the whole map or in windows."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .sizes import crop_to, extend_to

WINDOW = 32
"""Side of the squares of ``"window"``, in pixels."""


class SpatialAttention(nn.Module):
    """Add to every pixel a mean of all pixels, weighted by likeness: ``x + softmax(x x^T / sqrt(C)) x``.

    Queries, keys and values are the features of the pixels themselves; nothing is learned.

    Without a window the mean runs over the whole map, in time that grows with the square of the number of pixels. With
    one, the map is cut into squares of ``window`` pixels per side, from its top left corner (the last ones smaller),
    and pixels attend within their square. Up to ``window`` x ``window`` pixels that is the whole map and the result is
    exact; above, time grows with the number of pixels.

    The weights are never stored where :func:`~torch.nn.functional.scaled_dot_product_attention` has a fused kernel:
    memory beside the result is then about that of the map, in either form. For ``dropout`` in training a CPU has none.

    Args:
        window: side of the squares, in pixels; None: the whole map.
        dropout: share of the weights that are dropped in training.

    Raises:
        ValueError: a window below 1.
    """

    def __init__(self, window: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        if window is not None and window < 1:
            raise ValueError(f"SpatialAttention: window must be at least 1, got {window}")
        self.window, self.dropout = window, dropout

    def forward(self, x: Tensor) -> Tensor:
        """Attend in ``x``, [B, C, H, W]; the result has the same shape."""
        height, width = x.shape[-2:]
        grid = _Grid(*_cut(height, self.window), *_cut(width, self.window))
        filled = extend_to(x, grid.rows * grid.high, grid.columns * grid.wide)
        mask = None if filled is x else _inside(x, grid)
        # nested, so that no step's result outlives the next step
        return x + crop_to(_to_map(self._attend(_to_windows(filled, grid), mask), grid), height, width)

    def _attend(self, pixels: Tensor, mask: Tensor | None) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        return F.scaled_dot_product_attention(pixels, pixels, pixels, attn_mask=mask, dropout_p=dropout)

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        return f"window={self.window}, dropout={self.dropout}"


def spatial_attention(kind: str | None) -> SpatialAttention | None:
    """Attention by name.

    Args:
        kind: None: no attention. ``"full"``: over the whole map. ``"window"``: in squares of :data:`WINDOW` pixels
            per side.

    Raises:
        ValueError: unknown kind.
    """
    windows = {"full": None, "window": WINDOW}
    if kind is not None and kind not in windows:
        raise ValueError(f"attention must be None, 'full' or 'window', got {kind!r}")
    return None if kind is None else SpatialAttention(windows[kind])


class _Grid(NamedTuple):
    """``rows`` x ``columns`` windows of ``high`` x ``wide`` pixels."""

    rows: int
    high: int
    columns: int
    wide: int


def _cut(side: int, window: int | None) -> tuple[int, int]:
    """The number of windows along a side, and their size."""
    if window is None:
        return 1, side
    if torch.compiler.is_exporting() and not isinstance(side, int):
        return side // window + 2, window  # a count that may be 1 would limit the graph; what is too many is masked
    return (1, side) if side <= window else (-(-side // window), window)


def _inside(x: Tensor, grid: _Grid) -> Tensor:
    """Which pixels of the windows lie inside ``x``: [1, rows*columns, 1, high*wide], True there."""
    rows = torch.arange(grid.rows * grid.high, device=x.device).unflatten(0, (-1, grid.high)) < x.shape[-2]
    columns = torch.arange(grid.columns * grid.wide, device=x.device).unflatten(0, (-1, grid.wide)) < x.shape[-1]
    return (rows[:, None, :, None] & columns[:, None]).flatten(2).flatten(0, 1)[None, :, None]


def _to_windows(x: Tensor, grid: _Grid) -> Tensor:
    """Cut ``x`` [B, C, rows*high, columns*wide] into windows: [B, rows*columns, high*wide, C]."""
    windows = x.unflatten(3, (grid.columns, grid.wide)).unflatten(2, (grid.rows, grid.high))
    pixels = windows.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(1, 2)
    return pixels.contiguous()  # fused kernels take nothing else


def _to_map(pixels: Tensor, grid: _Grid) -> Tensor:
    """Undo :func:`_to_windows`."""
    windows = pixels.unflatten(2, (grid.high, grid.wide)).unflatten(1, (grid.rows, grid.columns))
    return windows.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
