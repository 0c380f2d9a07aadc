# SPDX-License-Identifier: Apache-2.0
"""FreqFusion's pyramid for detectors (TPAMI 2024, arXiv:2408.12879) under its published name, arguments and keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from .freqfusion import FreqFusion

_CONV_FIRST, _ACT_FIRST = ("conv", "norm", "act"), ("act", "conv", "norm")


class FreqFusionCARAFEFPN(nn.Module):
    """The published neck: same arguments (by name), call, return value and state-dict keys.

    1x1 convolutions bring the levels of a backbone to one width. Further levels, by 3x3 convolutions of stride 2, the
    first of them from the backbone's last map, take part in the top-down path: a level is the sum of both outputs of
    :class:`FreqFusion` of itself and the next coarser one. A 3x3 convolution of every level comes last.

    Unlike the published code it takes images of any size instead of multiples of 64, and any number of further levels;
    unknown arguments are errors.

    Args:
        in_channels: channels of the backbone's maps, fine to coarse.
        out_channels: channels of every level.
        num_outs: number of levels.
        start_level: the first map of the backbone that is used.
        end_level: the last one; -1: the last there is. Further levels are made from that one only.
        norm_cfg: norm after every convolution, ``{"type": "BN"}`` or ``{"type": "GN", "num_groups": 32}``; None: none.
        act_cfg: activation with every convolution, ``{"type": "ReLU"}``; None: none.
        order: of convolution, norm and activation: ``("conv", "norm", "act")`` or ``("act", "conv", "norm")``.
        upsample_cfg: without effect, as published.
        use_high_pass: this and all that follow but ``compress_ratio``: of :class:`FreqFusion`.
        use_low_pass: without effect, as published.
        lowpass_kernel: side of the low-pass kernels, odd.
        highpass_kernel: side of the high-pass kernels, odd.
        compress_ratio: both maps' channels over those of the guides.
        semi_conv: encode the two guides apart.
        feature_resample: use the sampler; the published default is off, the published configurations have it on.
        feature_resample_group: channel groups of the sampler; 4 in the published configurations.
        comp_feat_upsample: upsample the kernels' logits by predicted kernels.
        feature_resample_norm: GroupNorm on the sampler's guides; off in the published Panoptic FPN.

    Raises:
        ValueError: levels that are not there, other norms, activations or orders, or as :class:`FreqFusion`.

    >>> import torch
    >>> neck = FreqFusionCARAFEFPN([8, 16], 16, num_outs=3, compress_ratio=4)
    >>> [tuple(x.shape) for x in neck([torch.zeros(1, 8, 9, 13), torch.zeros(1, 16, 5, 7)])]
    [(1, 16, 9, 13), (1, 16, 5, 7), (1, 16, 3, 4)]
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int,
        start_level: int = 0,
        end_level: int = -1,
        norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | None = None,
        order: Sequence[str] = _CONV_FIRST,
        upsample_cfg: Mapping[str, Any] | None = None,
        use_high_pass: bool = True,
        use_low_pass: bool = True,
        lowpass_kernel: int = 5,
        highpass_kernel: int = 3,
        compress_ratio: int = 8,
        semi_conv: bool = True,
        feature_resample: bool = False,
        feature_resample_group: int = 8,
        comp_feat_upsample: bool = True,
        feature_resample_norm: bool = True,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.num_outs = tuple(in_channels), out_channels, num_outs
        self.start_level = start_level
        self.backbone_levels = _count_levels(len(in_channels), start_level, end_level, num_outs)
        extra = num_outs - self.backbone_levels
        last = start_level + self.backbone_levels
        widths = [*in_channels[start_level:last], in_channels[last - 1], *[out_channels] * extra][:num_outs]
        self.lateral_convs = nn.ModuleList(
            _ConvModule(c, out_channels, *((1, 1) if i < self.backbone_levels else (3, 2)), norm_cfg, act_cfg, order)
            for i, c in enumerate(widths)
        )
        self.fpn_convs = nn.ModuleList(
            _ConvModule(out_channels, out_channels, 3, 1, norm_cfg, act_cfg, order) for _ in widths
        )
        # published: one for every map of the backbone, of which the last is idle where there are no further levels
        self.alignment = nn.ModuleList(
            FreqFusion(
                out_channels,
                out_channels,
                compressed_channels=2 * out_channels // compress_ratio,
                lowpass_kernel=lowpass_kernel,
                highpass_kernel=highpass_kernel,
                semi_conv=semi_conv,
                use_high_pass=use_high_pass,
                use_low_pass=use_low_pass,
                feature_resample=feature_resample,
                feature_resample_group=feature_resample_group,
                comp_feat_upsample=comp_feat_upsample,
                feature_resample_norm=feature_resample_norm,
            )
            for _ in range(max(self.backbone_levels, num_outs - 1))
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute the pyramid.

        Args:
            inputs: all maps of the backbone, [B, in_channels[i], H_i, W_i], fine to coarse, each half as large as the
                one before, rounded up or down.

        Returns:
            ``num_outs`` maps [B, out_channels, H_i, W_i], fine to coarse; a further level is half as large as the one
            before, rounded up.

        Raises:
            ValueError: another number of maps, or sizes that are not halved from one to the next.
        """
        if len(inputs) != len(self.in_channels):
            raise ValueError(f"FreqFusionCARAFEFPN: needs {len(self.in_channels)} maps, got {len(inputs)}")
        levels: list[Tensor] = []
        for i, lateral in enumerate(self.lateral_convs):
            last = min(self.start_level + i, len(inputs) - 1)
            levels.append(lateral(inputs[last] if i <= self.backbone_levels else levels[-1]))
        for i in range(len(levels) - 1, 0, -1):
            _, hr, lr_up = self.alignment[i - 1](levels[i - 1], levels[i])
            levels[i - 1] = hr + lr_up
        return tuple(conv(level) for conv, level in zip(self.fpn_convs, levels, strict=True))


class _ConvModule(nn.Module):
    """A convolution with the norm and activation of published configurations, and their names."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        norm_cfg: Mapping[str, Any] | None,
        act_cfg: Mapping[str, Any] | None,
        order: Sequence[str],
    ) -> None:
        super().__init__()
        if tuple(order) not in (_CONV_FIRST, _ACT_FIRST):
            raise ValueError(f"FreqFusionCARAFEFPN: order must be {_CONV_FIRST} or {_ACT_FIRST}, got {tuple(order)}")
        if act_cfg is not None and act_cfg.get("type") != "ReLU":
            raise ValueError(f"FreqFusionCARAFEFPN: act_cfg must be None or {{'type': 'ReLU'}}, got {dict(act_cfg)}")
        padding = kernel_size // 2
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=norm_cfg is None)
        nn.init.xavier_uniform_(self.conv.weight)
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)
        self.norm_name, norm = _norm(norm_cfg, out_channels)
        if norm is not None:
            self.add_module(self.norm_name, norm)
        self.act_first = nn.ReLU() if act_cfg is not None and tuple(order) == _ACT_FIRST else nn.Identity()
        self.act_last = nn.ReLU() if act_cfg is not None and tuple(order) == _CONV_FIRST else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.act_first(x))
        if self.norm_name:
            x = self.get_submodule(self.norm_name)(x)
        return self.act_last(x)


def _norm(config: Mapping[str, Any] | None, channels: int) -> tuple[str, nn.Module | None]:
    """The published name of a norm, and the norm."""
    options = dict(config or {"type": None})
    options.pop("requires_grad", None)
    kind = options.pop("type", "unnamed")
    if kind is None:
        return "", None
    if kind in ("BN", "SyncBN"):
        return "bn", nn.BatchNorm2d(channels, **options)
    if kind == "GN":
        return "gn", nn.GroupNorm(num_channels=channels, **options)
    raise ValueError(f"FreqFusionCARAFEFPN: norm_cfg must have the type 'BN', 'SyncBN' or 'GN', got {config}")


def _count_levels(maps: int, start: int, end: int, outs: int) -> int:
    """How many of the backbone's maps are used."""
    last = maps - 1 if end == -1 else end
    used = last - start + 1
    if not 0 <= start <= last < maps:
        raise ValueError(f"FreqFusionCARAFEFPN: no levels {start} to {last} among {maps} maps")
    if outs < used or (outs > used and last != maps - 1):
        raise ValueError(f"FreqFusionCARAFEFPN: the levels {start} to {last} of {maps} do not give num_outs={outs}")
    return used
