# SPDX-License-Identifier: Apache-2.0
"""Equivalent sampling rate of a layer: what it keeps of the sampling, its channels counted in (arXiv:2403.09065)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from dealias.ops.spectrum import equivalent_sampling_rate as rate_of_numbers

Pair = tuple[int, int]

POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d)


@dataclass(frozen=True)
class Window:
    """The window of a layer along rows and columns; a pool has as many channels after it as before, whatever they are.

    Attributes:
        kernel: samples that an output sees.
        stride: samples from one output to the next.
        in_channels: before the layer.
        out_channels: after it.
    """

    kernel: Pair
    stride: Pair
    in_channels: int = 1
    out_channels: int = 1

    @property
    def axis(self) -> int:
        """The axis with the lower rate: 0 rows, 1 columns."""
        rates = [self._rate(axis) for axis in (0, 1)]
        return rates.index(min(rates))

    @property
    def rate(self) -> float:
        """Equivalent sampling rate along :attr:`axis`."""
        return self._rate(self.axis)

    def _rate(self, axis: int) -> float:
        return rate_of_numbers(self.kernel[axis], self.stride[axis], self.in_channels, self.out_channels)


def window_of(layer: nn.Module) -> Window | None:
    """The window of a two-dimensional convolution or pool; ``None`` for other layers."""
    if isinstance(layer, nn.Conv2d):
        return Window(_pair(layer.kernel_size), _pair(layer.stride), layer.in_channels, layer.out_channels)
    if isinstance(layer, POOLS):
        kernel = _pair(layer.kernel_size)
        return Window(kernel, kernel if layer.stride is None else _pair(layer.stride))
    return None


def equivalent_sampling_rate(
    kernel: int | nn.Module = 3, stride: int = 2, in_channels: int = 64, out_channels: int = 128
) -> float:
    """How many samples per sample a downsampling layer keeps, if its additional channels are counted as samples.

    ``min(K, sqrt(C_out / C_in)) / stride``, K the side of the kernel: a layer that keeps every second sample of rows
    and columns, but doubles the channels, keeps 1 / sqrt(2) along each axis. Half of it is the highest frequency, in
    cycles per sample, that the layer can keep; from rate 1 on it can keep all of them.

    Args:
        kernel: side of the kernel; or a layer, which brings all the numbers: a 2-D convolution (grouped or not), max,
            average or power-average pool. Where rows and columns differ, the lower rate is taken.
        stride: samples from one output to the next.
        in_channels: before the layer.
        out_channels: after it.

    Raises:
        ValueError: a number below 1, or a layer of another type.

    >>> round(equivalent_sampling_rate(3, stride=2, in_channels=64, out_channels=128), 5)
    0.70711
    >>> equivalent_sampling_rate(nn.MaxPool2d(3, stride=2))
    0.5
    """
    if not isinstance(kernel, nn.Module):
        return rate_of_numbers(kernel, stride, in_channels, out_channels)
    window = window_of(kernel)
    if window is None:
        known = ", ".join(layer.__name__ for layer in (nn.Conv2d, *POOLS))
        raise ValueError(f"a layer with a sampling rate is one of {known}; got {type(kernel).__name__}")
    return window.rate


def _pair(size: int | tuple[int, ...]) -> Pair:
    return (size, size) if isinstance(size, int) else (size[0], size[1])
