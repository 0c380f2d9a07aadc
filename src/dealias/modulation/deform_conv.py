# SPDX-License-Identifier: Apache-2.0
"""Deformable convolution whose windows are moved by an ARS map (SFM, TPAMI 2025, arXiv:2507.11893).

Needs torchvision; import it from here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from .ars import ARS

_TAPS = 9
_CENTRE = 4


class ARSDeformConv2d(nn.Conv2d):
    """A 3x3 convolution that keeps its regular grid of results and moves the pixels that they see.

    With u the sampling map of :class:`~dealias.modulation.ARS`, the centre tap of the window at pixel p looks at u(p),
    and tap t at ``u(p) + d_t + o_t(p)``: the whole window moves with its centre, and the eight others have learned
    offsets o_t of their own (DCN, arXiv:1703.06211), from a 3x3 convolution. Centres, unlike freely learned ones, keep
    their order. Bilinear; the map counts as 0 outside, as in a convolution with zero padding. Coordinates and sums are
    float32 at least.

    It takes the place of ``nn.Conv2d(in_channels, out_channels, 3, stride, padding=dilation, dilation, groups, bias)``:
    ``weight`` and ``bias`` have the same keys, and until trained results are the same, since u starts as the regular
    grid and the offsets at zero. The attention, for its loss, is what the child ``ars.attention`` returns.

    Args:
        in_channels: channels of the map.
        out_channels: channels of the result.
        stride: pixels between results.
        dilation: pixels between taps.
        groups: as in ``nn.Conv2d``.
        bias: as in ``nn.Conv2d``.
        ars: moves the centres, by default a new one with the published options.

    Raises:
        ValueError: the channels do not fit the groups, or ``ars`` is for another number of them.

    >>> conv = nn.Conv2d(8, 4, 3, stride=2, padding=1)
    >>> x = torch.rand(1, 8, 7, 10)
    >>> bool((ARSDeformConv2d.of(conv)(x) - conv(x)).abs().max() < 1e-4)
    True
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        ars: ARS | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, 3, stride, dilation, dilation, groups, bias)
        self.ars = ARS(in_channels) if ars is None else ars
        if self.ars.attention.channels != in_channels:
            raise ValueError(
                f"ARSDeformConv2d: ars must be for {in_channels} channels, is for {self.ars.attention.channels}"
            )
        self.offsets = nn.Conv2d(in_channels, 2 * (_TAPS - 1), 3, stride, dilation, dilation)
        nn.init.zeros_(self.offsets.weight)
        if self.offsets.bias is not None:
            nn.init.zeros_(self.offsets.bias)

    @classmethod
    def of(cls, conv: nn.Conv2d, **options: Any) -> ARSDeformConv2d:
        """The deformable form of a convolution, which shares its weight and bias.

        Args:
            conv: 3x3, padding equal to its dilation, zeros outside, alike along both axes.
            options: of :class:`~dealias.modulation.ARS`.

        Raises:
            ValueError: another kind of convolution.
        """
        (stride, dilation), alike = (conv.stride[0], conv.dilation[0]), len(set(conv.stride)) == 1
        if conv.kernel_size != (3, 3) or not alike or conv.padding_mode != "zeros":
            raise ValueError(f"ARSDeformConv2d: needs a 3x3 convolution with zeros outside, got {conv}")
        if conv.dilation != (dilation, dilation) or conv.padding != conv.dilation:
            raise ValueError(f"ARSDeformConv2d: needs a padding equal to the dilation, got {conv}")
        ars = ARS(conv.in_channels, **options)
        deformable = cls(
            conv.in_channels, conv.out_channels, stride, dilation, conv.groups, conv.bias is not None, ars
        ).to(conv.weight)
        deformable.weight, deformable.bias = conv.weight, conv.bias
        return deformable

    def forward(self, input: Tensor) -> Tensor:
        """Convolve input [B, in_channels, H, W]: [B, out_channels, ceil(H / stride), ceil(W / stride)], same dtype."""
        wide = torch.promote_types(input.dtype, torch.float32)
        offsets = self._offsets(input).to(wide)
        bias = None if self.bias is None else self.bias.to(wide)
        padding, dilation = (self.dilation[0], self.dilation[1]), (self.dilation[0], self.dilation[1])
        with torch.autocast(input.device.type, enabled=False):
            out = deform_conv2d(
                input.to(wide), offsets, self.weight.to(wide), bias, (self.stride[0], self.stride[1]), padding, dilation
            )
        return out.to(input.dtype)

    def _offsets(self, x: Tensor) -> Tensor:
        """Where the taps look, relative to the window of a convolution: [B, 18, oh, ow], (y, x) of each tap, pixels."""
        step_y, step_x = self.stride
        centre = self.ars.shifts(x)[..., ::step_y, ::step_x].flip(1)
        own = self.offsets(x).to(centre.dtype)
        before, after = own.split(2 * _CENTRE, dim=1)
        relative = torch.cat([before, torch.zeros_like(centre), after], dim=1)
        return relative + centre.repeat(1, _TAPS, 1, 1)
