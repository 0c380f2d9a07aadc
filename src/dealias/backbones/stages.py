# SPDX-License-Identifier: Apache-2.0
"""Stages of timm feature networks: where each begins, what reduces its resolution, and where a mixer belongs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from timm.models import FeatureInfo, convnext, regnet, resnet
from torch import nn

from dealias.filters.insertion import insert_after, insert_before
from dealias.filters.strides import describe

from .modulation import insert_modulation

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
    """The part of a backbone between two levels of its pyramid; its first block reduces the resolution, or dilates.

    Attributes:
        modules: what the stage runs, in order.
        entry: the module whose input is the stage's, read by all branches of the first block.
        kernel: side of the kernel that reduces the resolution; 1 where none does.
        stride: its step; 1 in a stage that dilates instead.
        in_channels: channels of the level before.
        out_channels: channels of this level.
        channels_last: the stage's input is [B, H, W, C] instead of [B, C, H, W].
        mixed: modules with outputs [B, out_channels, H, W] where mixers belong, in stages without convolutions for it.
    """

    modules: tuple[nn.Module, ...]
    entry: nn.Module
    kernel: int
    stride: int
    in_channels: int
    out_channels: int
    channels_last: bool = False
    mixed: tuple[nn.Module, ...] = ()

    def as_layer(self) -> nn.Conv2d:
        """One convolution, without memory, that changes grid and channels as the stage does."""
        return nn.Conv2d(self.in_channels, self.out_channels, self.kernel, self.stride, device="meta")

    def insert_prefilter(self, prefilter: nn.Module) -> None:
        """Let the stage see its input through ``prefilter``: [B, in_channels, H, W] to the same shape."""
        insert_before(self.entry, prefilter, self.channels_last)

    def insert_modulation(self, modulation: nn.Module) -> None:
        """Let the stage see its input modulated, before a prefilter: [B, in_channels, H, W] to that and its warp."""
        insert_modulation(self.entry, modulation, self.channels_last)

    def insert_mixers(self, create: Callable[[int], nn.Module]) -> None:
        """Let a mixer work on the output of the spatial convolution of every block: conv2, or the depthwise one.

        In stages that name other modules (:attr:`mixed`) it works on theirs.

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
        if not convolutions and not self.mixed:
            known = ", ".join(f"{kind.__module__}.{kind.__name__}" for kind in _SPATIAL_CONVOLUTION)
            raise ValueError(f"{type(self.entry).__name__} has no place for a mixer; blocks that have one: {known}")
        for convolution in convolutions:
            insert_after(convolution, create(convolution.get_parameter("weight").shape[0]))
        for module in self.mixed:
            insert_after(module, create(self.out_channels))


def find_stages(body: Any, levels: Sequence[int]) -> list[Stage]:
    """Find the stages that lead from one level of the pyramid to the next.

    Args:
        body: a timm network, with or without ``features_only=True``.
        levels: which of the network's outputs are the levels, fine to coarse.

    Returns:
        One stage fewer than levels. The stages before the first level (the stem) are not among them.

    Raises:
        ValueError: a level does not begin with a block that reduces the resolution; lists the known families.
    """
    info = body.feature_info if isinstance(body.feature_info, FeatureInfo) else _every_level(body.feature_info)
    parts = dict(_parts(body, info.module_name()))
    names = list(parts)
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


def _every_level(levels: list[dict[str, Any]]) -> FeatureInfo:
    """The ``feature_info`` of a network that is not ``features_only``."""
    return FeatureInfo(levels, tuple(range(len(levels))))


def _parts(body: nn.Module, levels: Sequence[str]) -> Iterator[tuple[str, nn.Module]]:
    """What a network runs, in order, by the names of its levels: parts of a part where those are levels."""
    for name, child in body.named_children():
        if isinstance(child, nn.Sequential) and any(level.startswith(f"{name}.") for level in levels):
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
    """Side of the largest kernel with this stride: the main branch's, where the shortcut has another; 1 if it is 1."""
    if stride == 1:
        return 1
    layers = [layer for module in entry.modules() if (layer := describe(module)) and layer.obstacle is None]
    kernels = [layer.kernel[0] for layer in layers if layer.stride[0] == stride]
    if not kernels:
        raise ValueError(
            f"the stages of this backbone are not known: {type(entry).__name__} has no layer of stride {stride}; "
            f"known: {_KNOWN}"
        )
    return max(kernels)
