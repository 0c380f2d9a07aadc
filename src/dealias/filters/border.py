# SPDX-License-Identifier: Apache-2.0
"""What a filter sees outside the map: a reflection of it, its outermost pixels, or zeros."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BORDERS = ("reflect", "replicate", "zero")
"""The border rules that :func:`pad` knows."""


def check_border(border: str, name: str) -> None:
    """Raise unless ``border`` is one of :data:`BORDERS`.

    Raises:
        ValueError: the message starts with ``name`` and lists the known ones.
    """
    if border not in BORDERS:
        raise ValueError(f"{name}: border must be one of {', '.join(BORDERS)}, got {border!r}")


def pad(x: Tensor, before: int, after: int, border: str) -> Tensor:
    """Continue a map beyond its edges, alike along both axes.

    ``"reflect"`` mirrors at the outermost pixels without repeating them (d c b | a b c d | c b a) and does so again at
    the far side, as often as needed: maps of every size have a reflection, and that of a single pixel is its copy.

    Args:
        x: [B, C, H, W].
        before: rows added above and columns added left.
        after: rows added below and columns added right.
        border: one of :data:`BORDERS`.

    Returns:
        [B, C, H + before + after, W + before + after].

    >>> pad(torch.tensor([[[[1.0, 2.0]]]]), 2, 2, "reflect")[0, 0, 0]
    tensor([1., 2., 1., 2., 1., 2.])
    """
    if before == after == 0:
        return x
    edges = (before, after, before, after)
    if border != "reflect":
        return F.pad(x, edges, mode="constant" if border == "zero" else border)
    if not torch.compiler.is_compiling() and max(before, after) < min(x.shape[-2:]):
        return F.pad(x, edges, mode="reflect")
    rows, columns = (_reflected(size, before, after, x.device) for size in x.shape[-2:])
    return x.index_select(-2, rows).index_select(-1, columns)


def _reflected(size: int, before: int, after: int, device: torch.device) -> Tensor:
    """Where each place of the padded axis is in the map: a triangular wave."""
    period = max(2 * (size - 1), 1)
    place = torch.arange(-before, size + after, device=device) % period
    return torch.minimum(place, period - place)
