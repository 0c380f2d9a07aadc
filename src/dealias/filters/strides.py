# SPDX-License-Identifier: Apache-2.0
"""What a layer does to the grid of its input: kind, kernel, stride and channels, read from the module alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

_SIZED = "pool of given size"
_TRANSPOSED = "transposed convolution"
_KIND_OF_CLASS = {
    "Conv": "convolution",
    "ConvTranspose": _TRANSPOSED,
    "MaxPool": "max pool",
    "AvgPool": "average pool",
    "LPPool": "average pool",
    "AdaptiveAvgPool": _SIZED,
    "AdaptiveMaxPool": _SIZED,
}
_LAYERS: dict[type, tuple[str, int]] = {
    getattr(nn, f"{name}{axes}d"): (kind, axes) for name, kind in _KIND_OF_CLASS.items() for axes in (1, 2, 3)
}

# Swin's merging of 2 x 2 neighbours, a 2 x 2 convolution of stride 2 on [B, H, W, C]; known by where its class is
# defined, because no library of networks is imported here
_PATCH_MERGING = {
    "timm.models.swin_transformer.PatchMerging",
    "timm.models.swin_transformer_v2.PatchMerging",
    "timm.models.swin_transformer_v2_cr.PatchMerging",
    "torchvision.models.swin_transformer.PatchMerging",
    "torchvision.models.swin_transformer.PatchMergingV2",
}


@dataclass(frozen=True)
class SamplingLayer:
    """A layer with a kernel and a stride.

    Attributes:
        kind: ``convolution``, ``max pool``, ``average pool``, ``patch merging``, ``transposed convolution`` or
            ``pool of given size``.
        kernel: side of the kernel by axis; empty for a pool of given size.
        stride: step by axis; empty for a pool of given size.
        in_channels: channels of the input, None where the layer takes any number.
        out_channels: channels of the output, None where they are those of the input.
        channels_last: the input is [B, H, W, C] instead of [B, C, H, W].
    """

    kind: str
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    in_channels: int | None = None
    out_channels: int | None = None
    channels_last: bool = False

    @property
    def obstacle(self) -> str | None:
        """Why no prefilter can or need be put before the layer; None if one can."""
        if self.kind == _TRANSPOSED:
            return "transposed: the output has the finer grid"
        if self.kind == _SIZED:
            return "the stride follows from the size of the input"
        if max(self.stride) == 1:
            return "stride 1"
        if len(self.stride) != 2:
            return "works on one or three axes"
        if self.stride[0] != self.stride[1]:
            return f"strides {self.stride[0]} and {self.stride[1]}: one prefilter is for one stride"
        return None

    def __str__(self) -> str:
        if not self.stride:
            return self.kind
        channels = "" if self.in_channels is None else f", {self.in_channels} -> {self.out_channels}"
        return f"{self.kind} {'x'.join(map(str, self.kernel))} stride {'x'.join(map(str, self.stride))}{channels}"


def describe(layer: nn.Module) -> SamplingLayer | None:
    """Read what a layer does to the grid; None for modules without kernel and stride.

    >>> print(describe(nn.Conv2d(64, 128, 3, stride=2)))
    convolution 3x3 stride 2x2, 64 -> 128
    >>> describe(nn.ReLU()) is None
    True
    """
    ancestors = type(layer).__mro__
    if any(f"{base.__module__}.{base.__qualname__}" in _PATCH_MERGING for base in ancestors):
        weight = layer.get_submodule("reduction").get_parameter("weight")
        return SamplingLayer("patch merging", (2, 2), (2, 2), weight.shape[1] // 4, weight.shape[0], True)
    kind, axes = next((_LAYERS[base] for base in ancestors if base in _LAYERS), ("", 0))
    if not axes:
        return None
    if kind == _SIZED:
        return SamplingLayer(kind)
    sizes: Any = layer  # every class of the table has a kernel and a stride, pools as a number or one per axis
    kernel = _by_axis(sizes.kernel_size, axes)
    stride = _by_axis(sizes.stride if sizes.stride is not None else sizes.kernel_size, axes)
    if isinstance(layer, nn.modules.conv._ConvNd):
        return SamplingLayer(kind, kernel, stride, layer.in_channels, layer.out_channels)
    return SamplingLayer(kind, kernel, stride)


def _by_axis(size: int | Sequence[int], axes: int) -> tuple[int, ...]:
    return (size,) * axes if isinstance(size, int) else tuple(size)
