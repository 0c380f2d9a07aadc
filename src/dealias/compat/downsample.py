# SPDX-License-Identifier: Apache-2.0
"""Published downsampling layers by their names, arguments and state-dict keys: the filter and the stride in one.

Binomial blur (arXiv:1904.11486), adaptive blur (arXiv:2008.09604), and FLC pooling as the de-aliasing filter of
arXiv:2403.09065 has it.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .. import filters
from ..filters.blur import binomial_kernel
from ..filters.border import pad
from ..ops import low_pass
from .naming import alias, publish_names

_BORDERS = {"reflect": "reflect", "refl": "reflect", "replicate": "replicate", "repl": "replicate", "zero": "zero"}


class Downsample(nn.Module):
    """Blur and stride: [B, channels, H, W] to [B, channels, H', W'] with ``H' = ceil((H + 2 * pad_off) / stride)``.

    The kernel is part of the state dict, as published.

    Args:
        pad_type: ``"reflect"`` (``"refl"``), ``"replicate"`` (``"repl"``) or ``"zero"``.
        filt_size: taps of the kernel, 1-7.
        stride: step, pixels.
        channels: channels of the map.
        pad_off: additional border on every side, pixels.

    Raises:
        ValueError: an unknown border, or taps out of range.
    """

    filt: Tensor

    def __init__(
        self, pad_type: str = "reflect", filt_size: int = 3, stride: int = 2, channels: int = 1, pad_off: int = 0
    ) -> None:
        super().__init__()
        self.border = _border(pad_type, "Downsample")
        if not 1 <= filt_size <= 7:
            raise ValueError(f"Downsample: filt_size must be 1-7, got {filt_size}")
        self.stride = stride
        self.before = (filt_size - 1) // 2 + pad_off
        self.after = filt_size // 2 + pad_off
        self.register_buffer("filt", binomial_kernel(filt_size).expand(channels, 1, -1, -1).clone())

    def forward(self, inp: Tensor) -> Tensor:
        """Blur and sample a map."""
        padded = pad(inp, self.before, self.after, self.border)
        return F.conv2d(padded, self.filt, stride=self.stride, groups=inp.shape[1])


class Downsample_PASA_group_softmax(filters.AdaptiveBlur):
    """Adaptive blur and stride: [B, in_channels, H, W] to [B, in_channels, ceil(H / stride), ceil(W / stride)].

    Args:
        in_channels: channels of the map, divisible by ``group``.
        kernel_size: side of the kernels, odd.
        stride: step, pixels.
        pad_type: as of :class:`Downsample`.
        group: channel groups with kernels of their own.

    Raises:
        ValueError: an unknown border, an even kernel, or groups that do not divide the channels.
    """

    norm = alias("bn")

    def __init__(
        self, in_channels: int, kernel_size: int, stride: int = 1, pad_type: str = "reflect", group: int = 2
    ) -> None:
        border = _border(pad_type, "Downsample_PASA_group_softmax")
        super().__init__(in_channels, stride, kernel_size, group, border, released=True)
        publish_names(self, {"norm": "bn"})

    def forward(self, x: Tensor) -> Tensor:
        """Blur and sample a map."""
        return super().forward(x)[..., :: self.stride, :: self.stride]


class FLC_Pooling(nn.Module):
    """The published de-aliasing filter, same size out; with ``downsample`` the crop of the spectrum, half the size.

    Args:
        downsample: crop: the cut-off has no effect, and the values are multiplied by the ratio of areas, as published.
        freq_thres: cut-off, cycles per sample, 0-0.5.

    Raises:
        ValueError: a cut-off out of range.
    """

    def __init__(self, downsample: bool = False, freq_thres: float = 0.25) -> None:
        super().__init__()
        if not 0 <= freq_thres <= 0.5:
            raise ValueError(f"FLC_Pooling: freq_thres must be 0-0.5 cycles per sample, got {freq_thres}")
        self.downsample, self.freq_thres = downsample, freq_thres

    def forward(self, x: Tensor) -> Tensor:
        """Filter x [B, C, H, W], or crop its spectrum."""
        if not self.downsample:
            return low_pass(x, self.freq_thres, released=True)
        cropped = filters.crop_spectrum(x)
        return cropped * (x.shape[-2] * x.shape[-1] / (cropped.shape[-2] * cropped.shape[-1]))


def _border(pad_type: str, name: str) -> str:
    if pad_type not in _BORDERS:
        raise ValueError(f"{name}: pad_type must be one of {', '.join(_BORDERS)}, got {pad_type!r}")
    return _BORDERS[pad_type]
