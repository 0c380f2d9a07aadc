# SPDX-License-Identifier: Apache-2.0
"""Complete a map to a size, and crop it back: how methods of a fixed ratio take any size.

While exporting, sizes are symbols and both steps are written as gathers, which put no condition on them; a graph
exported with sizes known to be exact (say, multiples of 32) holds neither.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def extend_to(x: Tensor, height: int, width: int) -> Tensor:
    """Repeat the last row and column of ``x`` [B, C, H, W] until it is [B, C, height, width]; a no-op at that size."""
    if torch.compiler.is_exporting():
        return _gather(x, height, width)
    rows, columns = height - x.shape[-2], width - x.shape[-1]
    return F.pad(x, (0, columns, 0, rows), mode="replicate") if rows or columns else x


def crop_to(x: Tensor, height: int, width: int) -> Tensor:
    """Keep the first rows and columns of ``x`` [B, C, H, W], [B, C, height, width]; a view, or ``x`` at that size."""
    if torch.compiler.is_exporting():
        return _gather(x, height, width)
    return x if x.shape[-2:] == (height, width) else x[..., :height, :width]


def _gather(x: Tensor, height: int, width: int) -> Tensor:
    from torch.fx.experimental.symbolic_shapes import statically_known_true

    for dim, size in ((-2, height), (-1, width)):
        if not statically_known_true(x.shape[dim] == size):
            x = x.index_select(dim, torch.arange(size, device=x.device).clamp(max=x.shape[dim] - 1))
    return x
