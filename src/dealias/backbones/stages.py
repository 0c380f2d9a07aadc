# SPDX-License-Identifier: Apache-2.0
"""Stages of timm feature networks: where each begins, what reduces its resolution, and where a mixer belongs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from timm.models import convnext, regnet, resnet
from torch import nn

from dealias.filters.insertion import insert_after, insert_before
from dealias.filters.strides import describe

_KNOWN = "ResNet, RegNet, ConvNeXt, MambaOut, Swin, EfficientNet, MobileNet and others of consecutive stages"

# the convolution of each kind of block that looks at neighbours, at whose output, before its norm, a mixer belongs
_SPATIAL_CONVOLUTION: dict[type[nn.Module], str] = {
    resnet.BasicBlock: "conv2",
    resnet.Bottleneck: "conv2",
    regnet.Bottleneck: "conv2.conv",
    convnext.ConvNeXtBlock: "conv_dw",
}

# what is put into a module becomes its child, which these would run as one more part
_RUN_ALL_THEIR_CHILDREN = (nn.Sequential, regnet.RegStage)


@dataclass(frozen=True)
class Stage:
    """The part of a backbone between two levels of its pyramid; its first block reduces the resolution.

    Attributes:
        modules: what the stage runs, in order.
        entry: the module whose input is the stage's, read by all branches of the first block.
        kernel: side of the kernel that reduces the resolution.
        stride: its step.
        in_channels: channels of the level before.
        out_channels: channels of this level.
        channels_last: the stage's input is [B, H, W, C] instead of [B, C, H, W].
    """

    modules: tuple[nn.Module, ...]
    entry: nn.Module
    kernel: int
    stride: int
    in_channels: int
    out_channels: int
    channels_last: bool = False

    def as_layer(self) -> nn.Conv2d:
        """One convolution, without memory, that changes grid and channels as the stage does."""
        return nn.Conv2d(self.in_channels, self.out_channels, self.kernel, self.stride, device="meta")

    def insert_prefilter(self, prefilter: nn.Module) -> None:
        """Let the stage see its input through ``prefilter``: [B, in_channels, H, W] to the same shape."""
        insert_before(self.entry, prefilter, self.channels_last)

    def insert_mixers(self, create: Callable[[int], nn.Module]) -> None:
        """Let a mixer work on the output of the spatial convolution of every block: conv2, or the depthwise one.

        Args:
            create: called with the channels of a convolution's output.

        Raises:
            ValueError: the stage has no block that is known to have such a convolution; lists those that are.
        """
        convolutions = [
            block.get_submodule(path)
            for module in self.modules
            for block in module.modules()
            for kind, path in _SPATIAL_CONVOLUTION.items()
            if isinstance(block, kind)
        ]
        if not convolutions:
            known = ", ".join(f"{kind.__module__}.{kind.__name__}" for kind in _SPATIAL_CONVOLUTION)
            raise ValueError(f"{type(self.entry).__name__} has no place for a mixer; blocks that have one: {known}")
        for convolution in convolutions:
            insert_after(convolution, create(convolution.get_parameter("weight").shape[0]))


def find_stages(body: Any, levels: Sequence[int]) -> list[Stage]:
    """Find the stages that lead from one level of the pyramid to the next.

    Args:
        body: the result of ``timm.create_model(..., features_only=True)``.
        levels: which of the network's outputs are the levels, fine to coarse.

    Returns:
        One stage fewer than levels. The stages before the first level (the stem) are not among them.

    Raises:
        ValueError: a level does not begin with a block that reduces the resolution; lists the known families.
    """
    parts = dict(_parts(body))
    names = list(parts)
    info = body.feature_info
    ends = [_position(names, info.module_name()[level]) for level in levels]
    channels, strides = ([of_all[level] for level in levels] for of_all in (info.channels(), info.reduction()))
    channels_last = getattr(body, "output_fmt", "NCHW") == "NHWC"  # timm leaves it out where it is NCHW
    stages = []
    for i in range(1, len(levels)):
        modules = tuple(parts[name] for name in names[ends[i - 1] + 1 : ends[i] + 1])
        entry, stride = _entry(modules), strides[i] // strides[i - 1]
        kernel = _reducing_kernel(entry, stride)
        stages.append(Stage(modules, entry, kernel, stride, channels[i - 1], channels[i], channels_last))
    return stages


def _parts(body: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """What a feature network runs, in order, by the names in its ``feature_info``."""
    for name, child in body.named_children():
        if name == "blocks" and isinstance(child, nn.Sequential):  # EfficientNet and MobileNet
            yield from ((f"{name}.{i}", part) for i, part in enumerate(child))
        else:
            yield name, child


def _position(names: Sequence[str], level: str) -> int:
    flattened = level.replace(".", "_")  # timm's name for a part of a part
    if level not in names and flattened not in names:
        raise ValueError(f"the stages of this backbone are not known: no part {level!r}; known: {_KNOWN}")
    return names.index(level if level in names else flattened)


def _entry(modules: Sequence[nn.Module]) -> nn.Module:
    first = modules[0] if modules else nn.Identity()
    while isinstance(first, _RUN_ALL_THEIR_CHILDREN):
        first = next(first.children(), nn.Identity())
    return first


def _reducing_kernel(entry: nn.Module, stride: int) -> int:
    """Side of the largest kernel with this stride: the main branch's, where the shortcut has another."""
    layers = [layer for module in entry.modules() if (layer := describe(module)) and layer.obstacle is None]
    kernels = [layer.kernel[0] for layer in layers if layer.stride[0] == stride]
    if not kernels:
        raise ValueError(
            f"the stages of this backbone are not known: {type(entry).__name__} has no layer of stride {stride}; "
            f"known: {_KNOWN}"
        )
    return max(kernels)
