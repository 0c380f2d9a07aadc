# SPDX-License-Identifier: Apache-2.0
"""Several convolutions of one map in one pass: narrow ones leave most of a processor's lanes empty."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def convolve_jointly(x: Tensor, *convolutions: nn.Module) -> tuple[Tensor, ...]:
    """What every one of ``convolutions`` makes of ``x`` [B, C, H, W], as one convolution where they are alike.

    Alike are dense ``nn.Conv2d`` of one kernel size, stride, padding and dilation with zero border, all with a bias or
    all without. Others run one by one. Hooks of joined convolutions are not called.

    >>> convolutions = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 1, 1)
    >>> [tuple(made.shape) for made in convolve_jointly(torch.zeros(1, 2, 4, 5), *convolutions)]
    [(1, 3, 4, 5), (1, 1, 4, 5)]
    """
    dense = [conv for conv in convolutions if isinstance(conv, nn.Conv2d) and _is_dense(conv)]
    if len(dense) < len(convolutions) or len({_geometry(conv) for conv in dense}) != 1:
        return tuple(conv(x) for conv in convolutions)
    first = dense[0]
    weight = torch.cat([conv.weight for conv in dense])
    bias = None if first.bias is None else torch.cat([conv.bias for conv in dense if conv.bias is not None])
    joined = F.conv2d(x, weight, bias, first.stride, first.padding, first.dilation)
    return joined.split([conv.out_channels for conv in dense], dim=1)


def _is_dense(conv: nn.Conv2d) -> bool:
    return conv.groups == 1 and conv.padding_mode == "zeros"


def _geometry(conv: nn.Conv2d) -> tuple[object, ...]:
    return conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.bias is None
