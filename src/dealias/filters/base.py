# SPDX-License-Identifier: Apache-2.0
"""The interface of every filter before a downsampling: same size in and out, the stride stays with the layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

from torch import Tensor, nn

from .strides import SamplingLayer, describe


class Prefilter(nn.Module, ABC):
    """Filter a map before a layer of stride ``stride`` samples it: [B, channels, H, W] to the same shape and dtype.

    Any H and W of at least 1. Constants pass unchanged inside the map (but see the released forms). Fixed kernels are
    buffers that are not saved: a network's state dict has the same keys with and without such a filter.

    Args:
        channels: channels of the map; ``None``, unless the method :attr:`needs_channels`, for any number.
        stride: step of the layer that follows, pixels, at least 1.

    Raises:
        ValueError: channels or stride below 1, or channels that are needed and not given.
    """

    needs_channels: bool = False
    """Whether the method has weights, so that ``channels`` must be a number."""

    def __init__(self, channels: int | None, stride: int = 2) -> None:
        super().__init__()
        if channels is None and self.needs_channels:
            raise ValueError(f"{type(self).__name__}: has weights and needs the number of channels, got None")
        if stride < 1 or (channels is not None and channels < 1):
            raise ValueError(f"{type(self).__name__}: channels and stride must be at least 1, got {channels}, {stride}")
        self.channels, self.stride = channels, stride

    def forward(self, x: Tensor) -> Tensor:
        """Filter x [B, channels, H, W]: same shape.

        Raises:
            ValueError: ``x`` has another rank or other channels, or is no floating map.
        """
        if x.ndim != 4 or not x.is_floating_point() or (self.channels is not None and x.shape[1] != self.channels):
            channels = "C" if self.channels is None else self.channels
            raise ValueError(
                f"{type(self).__name__}: x must be floating [B, {channels}, H, W], got {x.dtype} {tuple(x.shape)}"
            )
        return self.filter(x)

    @abstractmethod
    def filter(self, x: Tensor) -> Tensor:
        """Do the method's work on a map [B, channels, H, W]."""

    @classmethod
    def before(cls, layer: nn.Module, channels: int | None = None, **options: Any) -> Self:
        """The filter for a strided layer, its channels and stride (and what else the method asks) taken from it.

        Args:
            layer: a strided convolution, pool or patch merging.
            channels: channels of the layer's input, where the layer does not tell (pools).
            options: the method's own options, as in its class.

        Raises:
            ValueError: the layer does not downsample, or steps differently along rows and columns.

        >>> from dealias.filters import Blur
        >>> Blur.before(nn.Conv2d(64, 128, 3, stride=4)).stride
        4
        """
        sampling = describe(layer)
        if sampling is None or sampling.obstacle:
            reason = "no layer with a stride" if sampling is None else sampling.obstacle
            raise ValueError(f"{cls.__name__}: cannot be put before a {type(layer).__name__}: {reason}")
        known = sampling.in_channels if channels is None else channels
        return cls(known, sampling.stride[0], **{**cls._options_before(sampling, known), **options})

    @classmethod
    def _options_before(cls, sampling: SamplingLayer, channels: int | None) -> dict[str, Any]:
        """The options that follow from a layer with so many input channels."""
        return {}

    def extra_repr(self) -> str:
        """What ``print`` shows of it."""
        return f"{self.channels}, stride={self.stride}"
