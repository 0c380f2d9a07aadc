# SPDX-License-Identifier: Apache-2.0
"""What every head is made of: convolution + norm + ReLU, the classifier, and resizing."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

NormFactory = Callable[[int], nn.Module]
"""``channels -> normalisation layer``."""


class ConvNormAct(nn.Sequential):
    """Convolution without bias, normalisation, ReLU; [B, in_channels, H, W] to [B, out_channels, H, W], zero border.

    The weights start Kaiming-normal (fan out, for ReLU), which keeps the variance of gradients.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: odd side of the kernel.
        norm: makes the normalisation from the number of channels.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, norm: NormFactory = nn.BatchNorm2d
    ) -> None:
        conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        super().__init__(conv, norm(out_channels), nn.ReLU(inplace=True))


class Classifier(nn.Sequential):
    """Channel dropout and a 1x1 convolution to class scores: [B, channels, H, W] to [B, classes, H, W].

    The weights start at N(0, 0.01²) with zero bias: all classes equally likely at first.

    Args:
        channels: channels of the input.
        classes: number of classes.
        dropout: probability to drop a channel, in training only.
    """

    def __init__(self, channels: int, classes: int, dropout: float) -> None:
        conv = nn.Conv2d(channels, classes, 1)
        nn.init.normal_(conv.weight, std=0.01)
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # bias=True: there is one
        super().__init__(nn.Dropout2d(dropout), conv)


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample ``x`` [B, C, h, w] to [B, C, *size], bilinear with half-pixel centres; border pixels repeat."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
