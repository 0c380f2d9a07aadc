# SPDX-License-Identifier: Apache-2.0
"""InternImage: a pyramid of deformable convolutions in blocks like a transformer's (CVPR 2023, arXiv:2211.05778)."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .dcnv3 import ACTIVATIONS, NORMS, DCNv3, choose
from .internimage_blocks import InternImageBlock, InternImageLevel, samplers
from .stages import Stage
from .timm_encoder import STRIDES
from .weights import load_own_weights


def _sizes(width: int, depths: tuple[int, ...], groups: int, **options: Any) -> dict[str, Any]:
    """Channels and groups that double from level to level."""
    double = (1, 2, 4, 8)
    return {
        "channels": tuple(width * n for n in double),
        "depths": depths,
        "groups": tuple(groups * n for n in double),
        **options,
    }


INTERNIMAGES: dict[str, dict[str, Any]] = {
    "internimage_t": _sizes(64, (4, 4, 18, 4), 4),
    "internimage_s": _sizes(80, (4, 4, 21, 4), 5, norm_position="after"),
    "internimage_b": _sizes(112, (4, 4, 21, 4), 7, norm_position="after"),
    "internimage_l": _sizes(160, (5, 5, 22, 5), 10, norm_position="after", offset_scale=2.0),
    "internimage_xl": _sizes(192, (5, 5, 24, 5), 12, norm_position="after", offset_scale=2.0),
    "internimage_h": _sizes(
        320,
        (6, 6, 32, 6),
        10,
        norm_position="both",
        layer_scale=None,
        norms_after=(5, 11, 17, 23, 29),
        guide_kernel=5,
        center_scale=True,
    ),
}
"""The published sizes (table 1 of the paper) and options."""

_KERNEL, _STRIDE = 3, 2
_LEVEL_WITH_NORMS = 2


def create_internimage(
    name: str,
    weights: str | None = None,
    in_channels: int = 3,
    drop_path_rate: float = 0.0,
    options: Mapping[str, Any] | None = None,
) -> InternImage:
    """Build an InternImage by name.

    Args:
        name: one of :data:`INTERNIMAGES`.
        weights: None (random) or the path of a local ``.safetensors``, ``.pth`` or ``.pt`` file with this library's
            keys; :func:`dealias.compat.internimage.encoder_weights` makes them from a published file.
        in_channels: channels of the image; the first convolution of loaded weights is adapted when it differs.
        drop_path_rate: stochastic depth, in [0, 1), active in training only.
        options: other arguments of :class:`InternImage` than those of this name.

    Raises:
        ValueError: unknown name or option, or weights that do not fit.

    >>> import torch
    >>> with torch.device("meta"):
    ...     encoder = create_internimage("internimage_t")
    >>> sum(p.numel() for p in encoder.parameters())
    28769520
    """
    if name not in INTERNIMAGES:
        raise ValueError(f"unknown InternImage {name!r}; known: {', '.join(INTERNIMAGES)}")
    accepted = [p for p in inspect.signature(InternImage).parameters if p not in ("in_channels", "drop_path_rate")]
    unknown = sorted(set(options or {}) - set(accepted))
    if unknown:
        raise ValueError(f"{name!r} has no option {', '.join(unknown)}; it accepts: {', '.join(accepted)}")
    arguments: dict[str, Any] = {**INTERNIMAGES[name], **(options or {})}
    encoder = InternImage(**arguments, in_channels=in_channels, drop_path_rate=drop_path_rate)
    if weights == "imagenet":
        raise ValueError(f"there are no weights to download for {name!r}; weights may be None or the path of a file")
    if weights is not None:
        load_own_weights(encoder, weights, name, first_conv="levels.0.embed.0")
    return encoder


class InternImage(nn.Module):
    """The feature pyramid of a network of deformable convolutions.

    A map has ``ceil(H / stride)`` rows: every reduction is a convolution of 3x3 pixels and stride 2, zero border.

    Args:
        channels: channels of the four levels, fine to coarse.
        depths: blocks of each level.
        groups: channel groups of each level's :class:`~dealias.backbones.dcnv3.DCNv3`.
        in_channels: channels of the image.
        drop_path_rate: stochastic depth, in [0, 1): the last block's rate, to which they rise linearly from 0.
        mlp_ratio: hidden channels of the blocks' per-pixel networks over channels.
        norm_position: of the norms of a branch, see :class:`~dealias.backbones.internimage_blocks.InternImageBlock`.
        layer_scale: first value of the gains of the branches; None for none.
        level_norm: a norm at the end of every level; None: where blocks end without one (``"before"``, ``"both"``).
        norms_after: blocks of the third level, counted from 0, that are followed by a norm of their own.
        norm: ``"layer"`` or ``"batch"``: of the reductions and of the guides.
        activation: ``"gelu"``, ``"silu"`` or ``"relu"``.
        guide_kernel: see :class:`~dealias.backbones.dcnv3.DCNv3`, as the rest.

    Attributes:
        channels: channels of the four maps, fine to coarse.
        strides: :data:`~dealias.backbones.STRIDES`.
        in_channels: channels of the image.

    Raises:
        ValueError: not four levels, or an option out of range.
    """

    def __init__(
        self,
        channels: Sequence[int],
        depths: Sequence[int],
        groups: Sequence[int],
        in_channels: int = 3,
        drop_path_rate: float = 0.0,
        mlp_ratio: float = 4.0,
        norm_position: str = "before",
        layer_scale: float | None = 1.0,
        level_norm: bool | None = None,
        norms_after: Sequence[int] = (),
        norm: str = "layer",
        activation: str = "gelu",
        guide_kernel: int = 3,
        offset_scale: float = 1.0,
        center_scale: bool = False,
        remove_center: bool = False,
    ) -> None:
        super().__init__()
        if not len(channels) == len(depths) == len(groups) == len(STRIDES):
            raise ValueError(
                f"InternImage: needs {len(STRIDES)} levels, got {tuple(channels)=}, {tuple(depths)=}, {tuple(groups)=}"
            )
        if not 0 <= drop_path_rate < 1:
            raise ValueError(f"drop_path_rate must be in [0, 1), got {drop_path_rate}")
        self.strides, self.channels, self.in_channels = STRIDES, tuple(channels), in_channels
        spatial = partial(
            DCNv3,
            norm=norm,
            activation=activation,
            guide_kernel=guide_kernel,
            offset_scale=offset_scale,
            center_scale=center_scale,
            remove_center=remove_center,
        )
        block = partial(
            InternImageBlock,
            mlp_ratio=mlp_ratio,
            activation=activation,
            norm_position=norm_position,
            layer_scale=layer_scale,
        )
        embeddings = [_stem(in_channels, channels[0], norm, activation)]
        embeddings += [_reduce(channels[i - 1], channels[i], norm, bias=False) for i in range(1, len(channels))]
        rates = torch.linspace(0, drop_path_rate, sum(depths), device="cpu").split(list(depths))
        self.levels = nn.ModuleList(
            InternImageLevel(
                embeddings[i],
                [block(width, spatial(width, groups[i]), drop_path_rate=rate) for rate in rates[i].tolist()],
                width,
                norm_position != "after" if level_norm is None else level_norm,
                norms_after if i == _LEVEL_WITH_NORMS else (),
            )
            for i, width in enumerate(channels)
        )

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
        """The levels at strides 8, 16 and 32; mixers work on what the deformable convolutions have sampled."""
        return [
            Stage((level,), level, _KERNEL, _STRIDE, before, after, mixed=samplers(level))
            for level, before, after in zip(self.levels[1:], self.channels, self.channels[1:], strict=False)
        ]


def _stem(in_channels: int, channels: int, norm: str, activation: str) -> nn.Sequential:
    half = channels // 2
    act = choose(ACTIVATIONS, "activation", activation)()
    return nn.Sequential(*_reduce(in_channels, half, norm), act, *_reduce(half, channels, norm))


def _reduce(in_channels: int, channels: int, norm: str, bias: bool = True) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, channels, _KERNEL, _STRIDE, _KERNEL // 2, bias=bias)
    return nn.Sequential(conv, choose(NORMS, "norm", norm)(channels))
