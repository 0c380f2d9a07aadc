# SPDX-License-Identifier: Apache-2.0
"""MSCAN, the backbone of SegNeXt: convolutional attention at several scales (NeurIPS 2022, arXiv:2209.08575)."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from timm.layers import DropPath, LayerNorm2d, LayerScale2d
from torch import Tensor, nn

from .stages import Stage
from .timm_encoder import STRIDES
from .weights import load_own_weights

MSCANS: dict[str, dict[str, tuple[int, ...]]] = {
    "mscan_t": {"channels": (32, 64, 160, 256), "depths": (3, 3, 5, 2), "mlp_ratios": (8, 8, 4, 4)},
    "mscan_s": {"channels": (64, 128, 320, 512), "depths": (2, 2, 4, 2), "mlp_ratios": (8, 8, 4, 4)},
    "mscan_b": {"channels": (64, 128, 320, 512), "depths": (3, 3, 12, 3), "mlp_ratios": (8, 8, 4, 4)},
    "mscan_l": {"channels": (64, 128, 320, 512), "depths": (3, 5, 27, 3), "mlp_ratios": (8, 8, 4, 4)},
}
"""The published sizes (table 2 of the paper)."""

_STRIPS = (7, 11, 21)
_EMBEDDING_KERNEL, _EMBEDDING_STRIDE = 3, 2
_NORM_EPSILON = 1e-5


def create_mscan(
    name: str,
    weights: str | None = None,
    in_channels: int = 3,
    drop_path_rate: float = 0.0,
    options: Mapping[str, Any] | None = None,
) -> MSCAN:
    """Build an MSCAN by name.

    Args:
        name: one of :data:`MSCANS`.
        weights: None (random) or the path of a local ``.safetensors``, ``.pth`` or ``.pt`` file with this library's
            keys; :func:`dealias.compat.segnext.encoder_weights` makes them from a published file.
        in_channels: channels of the image; the first convolution of loaded weights is adapted when it differs.
        drop_path_rate: stochastic depth, in [0, 1), active in training only.
        options: other ``channels``, ``depths`` or ``mlp_ratios`` than those of this name.

    Raises:
        ValueError: unknown name or option, or weights that do not fit.

    >>> create_mscan("mscan_t").channels
    (32, 64, 160, 256)
    """
    if name not in MSCANS:
        raise ValueError(f"unknown MSCAN {name!r}; known: {', '.join(MSCANS)}")
    accepted = [p for p in inspect.signature(MSCAN).parameters if p not in ("in_channels", "drop_path_rate")]
    unknown = sorted(set(options or {}) - set(accepted))
    if unknown:
        raise ValueError(f"{name!r} has no option {', '.join(unknown)}; it accepts: {', '.join(accepted)}")
    arguments: dict[str, Any] = {**MSCANS[name], **(options or {})}
    encoder = MSCAN(**arguments, in_channels=in_channels, drop_path_rate=drop_path_rate)
    if weights == "imagenet":
        raise ValueError(f"there are no weights to download for {name!r}; weights may be None or the path of a file")
    if weights is not None:
        load_own_weights(encoder, weights, name, first_conv="levels.0.embed.0")
    return encoder


class MSCAN(nn.Module):
    """The feature pyramid of a multi-scale convolutional attention network.

    A map has ``ceil(H / stride)`` rows: every reduction is a convolution of 3x3 pixels and stride 2, zero border.

    Args:
        channels: channels of the four levels, fine to coarse.
        depths: blocks of each level.
        mlp_ratios: hidden channels of each level's blocks over its channels.
        in_channels: channels of the image.
        drop_path_rate: stochastic depth, in [0, 1): the last block's rate, to which they rise linearly from 0.

    Attributes:
        channels: channels of the four maps, fine to coarse.
        strides: :data:`~dealias.backbones.STRIDES`.
        in_channels: channels of the image.

    Raises:
        ValueError: not four levels, or a rate out of range.
    """

    def __init__(
        self,
        channels: Sequence[int],
        depths: Sequence[int],
        mlp_ratios: Sequence[int],
        in_channels: int = 3,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        if not len(channels) == len(depths) == len(mlp_ratios) == len(STRIDES):
            raise ValueError(
                f"MSCAN: needs {len(STRIDES)} levels, got {tuple(channels)=}, {tuple(depths)=}, {tuple(mlp_ratios)=}"
            )
        if not 0 <= drop_path_rate < 1:
            raise ValueError(f"drop_path_rate must be in [0, 1), got {drop_path_rate}")
        self.strides, self.channels, self.in_channels = STRIDES, tuple(channels), in_channels
        rates = torch.linspace(0, drop_path_rate, sum(depths), device="cpu").split(list(depths))
        embeddings = [_stem(in_channels, channels[0])]
        embeddings += [_reduce(channels[i - 1], channels[i]) for i in range(1, len(channels))]
        self.levels = nn.ModuleList(
            MSCANLevel(embedding, width, ratio, level_rates.tolist())
            for embedding, width, ratio, level_rates in zip(embeddings, channels, mlp_ratios, rates, strict=True)
        )
        self.apply(_init_convolution)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the pyramid.

        Args:
            images: [B, in_channels, H, W], any H and W.

        Returns:
            Four maps [B, channels[i], ceil(H / strides[i]), ceil(W / strides[i])], fine to coarse.
        """
        features = []
        x = images
        for level in self.levels:
            x = level(x)
            features.append(x)
        return features

    def stages(self) -> list[Stage]:
        """The levels at strides 8, 16 and 32, where prefilters can be put in; they have no place for mixers."""
        return [
            Stage((level,), level, _EMBEDDING_KERNEL, _EMBEDDING_STRIDE, before, after)
            for level, before, after in zip(self.levels[1:], self.channels, self.channels[1:], strict=False)
        ]


class MSCANLevel(nn.Module):
    """One level of the pyramid: overlapping patches by strided convolutions, blocks, and a norm over channels.

    Args:
        embedding: the map of the level before (or the image) to [B, channels, H, W].
        channels: channels of the level.
        mlp_ratio: hidden channels of the blocks over channels.
        drop_path_rates: stochastic depth of each block; there are as many blocks.
    """

    def __init__(self, embedding: nn.Module, channels: int, mlp_ratio: int, drop_path_rates: Sequence[float]) -> None:
        super().__init__()
        self.embed = embedding
        self.blocks = nn.Sequential(*(MSCANBlock(channels, mlp_ratio, rate) for rate in drop_path_rates))
        self.norm = LayerNorm2d(channels, eps=_NORM_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the level from the one before."""
        return self.norm(self.blocks(self.embed(x)))


class MSCANBlock(nn.Module):
    """Attention and a per-pixel network, each with BatchNorm before, a layer scale after, and a shortcut.

    Args:
        channels: channels of input and output, [B, channels, H, W].
        mlp_ratio: hidden channels of the per-pixel network over channels.
        drop_path_rate: probability to drop a branch, per image, in training only.
    """

    def __init__(self, channels: int, mlp_ratio: int, drop_path_rate: float = 0.0) -> None:
        super().__init__()
        hidden = mlp_ratio * channels
        self.norm1 = nn.BatchNorm2d(channels)
        self.attention = Attention(channels)
        self.scale1 = LayerScale2d(channels, init_values=1e-2)
        self.norm2 = nn.BatchNorm2d(channels)
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), _depthwise(hidden, 3, 3), nn.GELU(), nn.Conv2d(hidden, channels, 1)
        )
        self.scale2 = LayerScale2d(channels, init_values=1e-2)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Refine x [B, channels, H, W]: same shape."""
        x = x + self.drop_path(self.scale1(self.attention(self.norm1(x))))
        return x + self.drop_path(self.scale2(self.mlp(self.norm2(x))))


class Attention(nn.Module):
    """Multi-scale convolutional attention between two 1x1 convolutions, with a shortcut (figure 2, equations 1 and 2).

    The attention of a map u is ``u * mix(local + strip_7 + strip_11 + strip_21)``: local a depthwise 5x5 convolution of
    u, strip_k depthwise 1xk and kx1 convolutions of local, mix a 1x1 convolution; zero border.

    Args:
        channels: channels of input and output, [B, channels, H, W].
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, channels, 1)
        self.local = _depthwise(channels, 5, 5)
        self.strips = nn.ModuleList(
            nn.Sequential(_depthwise(channels, 1, side), _depthwise(channels, side, 1)) for side in _STRIPS
        )
        self.mix = nn.Conv2d(channels, channels, 1)
        self.leave = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Attend in x [B, channels, H, W]: same shape."""
        entered = nn.functional.gelu(self.enter(x))
        scales = local = self.local(entered)
        for strip in self.strips:
            scales = scales + strip(local)
        return x + self.leave(entered * self.mix(scales))


def _stem(in_channels: int, channels: int) -> nn.Module:
    half = channels // 2
    return nn.Sequential(*_reduce(in_channels, half), nn.GELU(), *_reduce(half, channels))


def _reduce(in_channels: int, channels: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, channels, _EMBEDDING_KERNEL, _EMBEDDING_STRIDE, _EMBEDDING_KERNEL // 2)
    return nn.Sequential(conv, nn.BatchNorm2d(channels))


def _depthwise(channels: int, rows: int, columns: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, (rows, columns), padding=(rows // 2, columns // 2), groups=channels)


def _init_convolution(module: nn.Module) -> None:
    """Normal weights that keep the variance of gradients (fan out, the groups counted) and zero bias, as published."""
    if isinstance(module, nn.Conv2d):
        fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
