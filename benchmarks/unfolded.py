# SPDX-License-Identifier: Apache-2.0
"""The forms to compare with: windows copied out by ``F.unfold``, points sampled by ``F.grid_sample``.

They state each operator in a few lines, independently of :mod:`dealias.ops`, so they are the correctness gate as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from math import isqrt
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor


def reassemble(x: Tensor, weight: Tensor, groups: int = 1, scale: int = 1) -> Tensor:
    """Content-aware reassembly (CARAFE, arXiv:1905.02188), zero border."""
    n, c, h, w = x.shape
    taps = weight.shape[1] // groups
    side = isqrt(taps)
    windows = F.unfold(x, side, padding=side // 2).reshape(n, c * taps, h, w)
    if scale > 1:
        windows = F.interpolate(windows, size=weight.shape[-2:], mode="nearest")
    windows = windows.reshape(n, groups, c // groups, taps, *weight.shape[-2:])
    return (windows * weight.reshape(n, groups, 1, taps, *weight.shape[-2:])).sum(3).flatten(1, 2)


def kernel_normalize(logits: Tensor, kernel_size: int, window: Tensor | None = None) -> Tensor:
    """Softmax over the taps, times the window, divided by the sum (FreqFusion, arXiv:2408.12879)."""
    kernels = logits.unflatten(1, (-1, kernel_size**2)).softmax(2)
    if window is not None:
        kernels = kernels * window.reshape(-1, 1, 1)
        kernels = kernels / kernels.sum(2, keepdim=True)
    return kernels.flatten(1, 2)


def reassemble_softmax(
    x: Tensor,
    logits: Tensor,
    kernel_size: int,
    window: Tensor | None = None,
    groups: int = 1,
    scale: int = 1,
    sharpen: bool = False,
) -> Tensor:
    """The two above, one after the other; ``sharpen``: twice the map minus them."""
    smooth = reassemble(x, kernel_normalize(logits, kernel_size, window), groups, scale)
    return x + (x - smooth) if sharpen else smooth


def local_similarity(x: Tensor, kernel_size: int = 3, dilation: int = 2, metric: str = "cosine") -> Tensor:
    """Cosine similarity to the neighbours in a dilated window, the centre left out (FreqFusion, arXiv:2408.12879)."""
    if metric != "cosine":
        raise ValueError(f"the unfolded form knows the metric 'cosine' only, got {metric!r}")
    taps = kernel_size**2
    windows = F.unfold(x, kernel_size, dilation=dilation, padding=dilation * (kernel_size // 2))
    windows = windows.unflatten(1, (-1, taps)).unflatten(-1, x.shape[-2:])
    others = [tap for tap in range(taps) if tap != taps // 2]
    return F.cosine_similarity(windows[:, :, others], x[:, :, None], dim=1)


def point_sample(x: Tensor, points: Tensor) -> Tensor:
    """Bilinear samples of every group at its points, border pixels repeated (DySample, arXiv:2308.15085)."""
    groups, size = points.shape[1], torch.tensor([x.shape[-1], x.shape[-2]], device=x.device)
    planes = x.reshape(x.shape[0] * groups, -1, *x.shape[-2:])
    grid = (2 * points.flatten(0, 1).movedim(1, -1) + 1) / size - 1
    sampled = F.grid_sample(planes, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled.reshape(*x.shape[:2], *points.shape[-2:])


@contextmanager
def instead_of_ours() -> Iterator[None]:
    """Let FreqFusion run on these operators."""
    with ExitStack() as stack:
        for module, operator in (
            ("freqfusion", reassemble_softmax),
            ("similarity_sampler", local_similarity),
            ("offsets", point_sample),
        ):
            stack.enter_context(patch(f"dealias.fusion.{module}.{operator.__name__}", operator))
        yield
