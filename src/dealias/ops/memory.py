# SPDX-License-Identifier: Apache-2.0
"""The memory format of results: that of the map they are made from."""

from __future__ import annotations

import torch
from torch import Tensor


def memory_format_of(x: Tensor) -> torch.memory_format:
    """``channels_last`` for a map that is laid out like that and no other way, else ``contiguous_format``."""
    channels_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if channels_last else torch.contiguous_format


def new_map(like: Tensor, *size: int, zero: bool = False) -> Tensor:
    """A map [B, C, H, W] of the type, device and memory format of ``like``; empty, or ``zero``."""
    made = torch.empty(size, dtype=like.dtype, device=like.device, memory_format=memory_format_of(like))
    return made.zero_() if zero else made


def in_format_of(x: Tensor, made: Tensor) -> Tensor:
    """``made``, in the memory format of ``x``."""
    return made.contiguous(memory_format=memory_format_of(x))
