# SPDX-License-Identifier: Apache-2.0
"""Operators of torch that converters write for the sizes of the example alone, in terms of others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def general_operators() -> Mapping[Any, Callable[..., Any]]:
    """For some operators of torch, functions of the same arguments that hold for any size in any format."""
    aten = torch.ops.aten
    return {
        aten.remainder.Scalar: _remainder,
        aten.adaptive_avg_pool2d.default: _adaptive_average,
        aten._adaptive_avg_pool2d.default: _adaptive_average,
    }


def _remainder(x: Tensor, divisor: Any) -> Tensor:
    """By a divisor that is not known yet, which ONNX's converter takes as a tensor only."""
    return torch.remainder(x, torch.full((), divisor, dtype=x.dtype, device=x.device))


def _adaptive_average(x: Tensor, size: Sequence[Any]) -> Tensor:
    """Means over cells, as two matrix products; in float32 at least."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    rows, columns = (_cell_means(cells, n, wide) for cells, n in zip(size, x.shape[-2:], strict=True))
    return (rows @ wide @ columns.mT).to(x.dtype)


def _cell_means(cells: Any, size: Any, like: Tensor) -> Tensor:
    """[cells, size]: cell i is the mean of pixels from floor(i * size / cells) up to ceil((i + 1) * size / cells)."""
    cell, place = torch.arange(cells, device=like.device)[:, None], torch.arange(size, device=like.device)
    first = torch.div(cell * size, cells, rounding_mode="floor")
    end = torch.div(cell * size + size + cells - 1, cells, rounding_mode="floor")
    inside = ((place >= first) & (place < end)).to(like.dtype)
    return inside / inside.sum(dim=1, keepdim=True)
