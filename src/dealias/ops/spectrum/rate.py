# SPDX-License-Identifier: Apache-2.0
"""Equivalent sampling rate of a downsampling layer (ICLR 2024, arXiv:2403.09065, section 3)."""

from __future__ import annotations

import math


def equivalent_sampling_rate(kernel: int = 3, stride: int = 2, in_channels: int = 64, out_channels: int = 128) -> float:
    """The rate at which a strided layer samples its input, channels counted: ``min(K, sqrt(C_out / C_in)) / stride``.

    More output channels hold more samples per place, but no more than the kernel sees. Half the rate is the Nyquist
    frequency of the layer.

    Args:
        kernel: side K of the layer's kernel, pixels.
        stride: step of the layer, pixels.
        in_channels: channels C_in of the input.
        out_channels: channels C_out of the output.

    Returns:
        Samples of the output per pixel of the input, along one axis.

    Raises:
        ValueError: an argument is below 1.

    >>> round(equivalent_sampling_rate(3, 2, 64, 128), 5)
    0.70711
    """
    if min(kernel, stride, in_channels, out_channels) < 1:
        raise ValueError(
            "equivalent_sampling_rate: all arguments must be at least 1, "
            f"got {kernel=}, {stride=}, {in_channels=}, {out_channels=}"
        )
    return min(kernel, math.sqrt(out_channels / in_channels)) / stride
