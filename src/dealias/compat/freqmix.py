# SPDX-License-Identifier: Apache-2.0
"""FreqMix and its bottleneck block (ICLR 2024, arXiv:2403.09065) with published arguments and state-dict keys."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .. import mixing
from .naming import alias, publish_names

_ACTIVATIONS = ("sigmoid", "softmax")
_TYPES = ("freq_channel_att", "freq_channel_att_reduce_high")
_PLAIN_PLANES = 64
"""The published block has no FreqMix at this width, that of the first stage."""


class FrequencyMix(mixing.FreqMix):
    """The published module, there named ``_FrequencyMix``: [B, in_channels, H, W] to the same shape.

    Args:
        in_channels: channels of the map.
        k_list: as many values as maps beyond the first, at least one. The values have no effect, as published; the
            cut-off is 0.35 cycles per sample.
        fs_feat: ``"feat"``: the spatial maps come from the map itself.
        lp_type: ``"freq_channel_att"`` or ``"freq_channel_att_reduce_high"``, the same computation; the published code
            runs with no other.
        act: ``"sigmoid"``, or ``"softmax"`` over all spatial maps, times their number.
        spatial: ``"conv"``; the published code runs with no other.
        channel_res: add the map itself.
        spatial_group: multiplies the number of spatial maps; those beyond the first two have weights and a part in the
            softmax only.
        compress_ratio: channels over hidden channels of the gates.
        released: the published computation; without it the gates depend on the sample alone and the mask is symmetric.

    Raises:
        ValueError: an unknown option, no ``k_list``, or arguments that :class:`~dealias.mixing.FreqMix` refuses.
    """

    spatial = alias("freq_weight_conv")
    low_gate = alias("channel_att_low")
    high_gate = alias("channel_att_high")

    def __init__(
        self,
        in_channels: int,
        k_list: Sequence[float] = (1.4,),
        fs_feat: str = "feat",
        lp_type: str = "freq_channel_att",
        act: str = "sigmoid",
        spatial: str = "conv",
        channel_res: bool = False,
        spatial_group: int = 1,
        compress_ratio: int = 16,
        released: bool = True,
    ) -> None:
        if fs_feat != "feat" or lp_type not in _TYPES or act not in _ACTIVATIONS or spatial != "conv":
            raise ValueError(
                f"FrequencyMix: needs fs_feat 'feat', lp_type of {_TYPES}, act of {_ACTIVATIONS} and spatial 'conv', "
                f"got {fs_feat=}, {lp_type=}, {act=}, {spatial=}"
            )
        if len(k_list) < 1 or spatial_group < 1:
            raise ValueError(f"FrequencyMix: needs a k_list and a spatial_group, got {k_list=}, {spatial_group=}")
        super().__init__(in_channels, reduction=compress_ratio, released=released)
        self.act, self.channel_res = act, channel_res
        names = {"spatial": "freq_weight_conv", "low_gate": "channel_att_low", "high_gate": "channel_att_high"}
        publish_names(self, names)
        maps = (len(k_list) + 1) * spatial_group
        if maps > 2:
            self.freq_weight_conv = nn.Conv2d(in_channels, maps, 3, padding=1)
        self.channel_att_low, self.channel_att_high = (
            nn.Sequential(nn.Identity(), *layers) for layers in (self.low_gate, self.high_gate)
        )  # the published pooling has no part in the keys but its place

    def forward(self, x: Tensor) -> Tensor:
        """Mix the bands of x [B, in_channels, H, W]: same shape."""
        mixed = super().forward(x)
        return mixed + x if self.channel_res else mixed

    def spatial_maps(self, x: Tensor) -> Tensor:
        """The weights of the two bands at every pixel, [B, 2, H, W]."""
        maps = self.freq_weight_conv(x)
        maps = maps.sigmoid() if self.act == "sigmoid" else maps.softmax(1) * maps.shape[1]
        return maps[:, :2]


class NyBottleneck(nn.Module):
    """The published bottleneck: 1x1, 3x3 with the stride, FreqMix, 1x1, each with its norm; [B, inplanes, H, W].

    Gives [B, 4 * planes, H', W'] with H' and W' the sizes over the stride, rounded up. FreqMix is before the second
    norm, and absent at 64 planes. The de-aliasing filter is not part of the block.

    Args:
        inplanes: channels of the map.
        planes: channels of the 3x3 convolution.
        stride: of the 3x3 convolution.
        dilation: of the 3x3 convolution.
        downsample: what brings the map to the shape of the result; without it both must be equal.
        released: as in :class:`FrequencyMix`.
    """

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        released: bool = True,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.downsample = downsample
        self.att = nn.Identity() if planes == _PLAIN_PLANES else FrequencyMix(planes, released=released)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block's result for x [B, inplanes, H, W]."""
        out = self.bn1(self.conv1(x)).relu()
        out = self.bn2(self.att(self.conv2(out))).relu()
        out = self.bn3(self.conv3(out))
        return (out + (x if self.downsample is None else self.downsample(x))).relu()
