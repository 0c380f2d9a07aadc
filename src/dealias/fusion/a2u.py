# SPDX-License-Identifier: Apache-2.0
"""A2U: affinity-aware upsampling by second-order dynamic kernels (CVPR 2021, arXiv:2011.14288)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import kernel_normalize, reassemble
from .base import Fusion


class A2U(Fusion):
    """Upsample ``lr`` with kernels from a second-order (bilinear) response of ``hr`` to filters made for each image.

    Two depthwise filters U and V come from ``hr`` itself, pooled to their size and sent through a 1x1 convolution. With
    u and v the normalised responses of ``hr`` to them at stride 2, the affinity map is ``S = sum_c u_c v_c / sqrt(C)``.
    A vector P, a 1x1 convolution of the mean of ``hr``, holds one factor per tap and sub-pixel::

        kernels = softmax(sigmoid(pixel_shuffle(P * S)));  lr_up = reassemble(lr, kernels)

    The sigmoid keeps every kernel near the mean of its window. ``hr`` passes through. This is the paper's dynamic form,
    upsampling side. See :class:`~dealias.fusion.Fusion` for shapes and sizes. Zero border.

    Args:
        hr_channels: channels of ``hr``, a multiple of ``norm_groups``.
        lr_channels: channels of ``lr``, divisible by ``groups``.
        kernel_size: side of the upsampling kernels, odd.
        encoder_kernel: side of U and V.
        groups: channel groups of ``lr`` with kernels of their own.
        shared: one U and one V for all channels, instead of one per channel.
        norm_groups: groups of the normalisation of u and v; 32 in the paper. Give a divisor of ``hr_channels`` for maps
            whose channels are no multiple of 32.

    Raises:
        ValueError: an even ``kernel_size``, an ``encoder_kernel`` below 1, or groups that do not divide the channels.
    """

    factor = 2

    def __init__(
        self,
        hr_channels: int,
        lr_channels: int,
        kernel_size: int = 3,
        encoder_kernel: int = 6,
        groups: int = 1,
        shared: bool = True,
        norm_groups: int = 32,
    ) -> None:
        super().__init__(hr_channels, lr_channels)
        if kernel_size % 2 == 0 or encoder_kernel < 1 or lr_channels % groups:
            raise ValueError(
                "A2U: kernel_size must be odd, encoder_kernel positive and groups divide lr_channels; "
                f"got {kernel_size=}, {encoder_kernel=}, {groups=}, {lr_channels=}"
            )
        if hr_channels % norm_groups:
            raise ValueError(
                f"A2U: hr_channels must be a multiple of norm_groups, got {hr_channels=} and {norm_groups=}; "
                "give norm_groups a divisor of hr_channels"
            )
        self.kernel_size, self.encoder_kernel, self.groups = kernel_size, encoder_kernel, groups
        filters = 1 if shared else hr_channels
        self.norm_u = _GroupNorm(norm_groups, hr_channels)
        self.norm_v = _GroupNorm(norm_groups, hr_channels)
        self.taps = nn.Conv2d(hr_channels, 4 * kernel_size**2 * groups, 1)
        self.filter_u = nn.Conv2d(hr_channels, filters, 1)
        self.filter_v = nn.Conv2d(hr_channels, filters, 1)

    def fuse(self, hr: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Upsample lr [B, Cl, h, w] by kernels from hr [B, Ch, 2h, 2w]; ``hr`` is returned as it is."""
        return hr, reassemble(lr, self.kernels(hr, self.affinity(hr)), self.groups, 2)

    def kernels(self, hr: Tensor, affinity: Tensor) -> Tensor:
        """Upsampling kernels from hr [B, Ch, 2h, 2w] and its affinity map: [B, groups*k*k, 2h, 2w]."""
        factors = self.taps(hr.mean(dim=(2, 3), keepdim=True))
        return self._normalise(torch.sigmoid(F.pixel_shuffle(factors * affinity, 2)))

    def _normalise(self, gates: Tensor) -> Tensor:
        return kernel_normalize(gates, self.kernel_size)

    def affinity(self, hr: Tensor) -> Tensor:
        """The affinity map S of hr [B, Ch, 2h, 2w]: [B, 1, h, w]."""
        u = F.leaky_relu(self.norm_u(self._respond(hr, self.filter_u)))
        v = F.leaky_relu(self.norm_v(self._respond(hr, self.filter_v)))
        return (u * v).sum(dim=1, keepdim=True) / hr.shape[1] ** 0.5

    def _respond(self, hr: Tensor, to_filter: nn.Module) -> Tensor:
        """``hr`` after its own depthwise filter, at stride 2: [B, Ch, h, w]."""
        b, c, height, width = hr.shape
        side = self.encoder_kernel
        filters = to_filter(F.adaptive_avg_pool2d(hr, side)).expand(b, c, side, side)
        planes = hr.reshape(1, b * c, height, width)
        responses = F.conv2d(
            planes, filters.reshape(b * c, 1, side, side), stride=2, padding=(side - 1) // 2, groups=b * c
        )
        return responses.reshape(b, c, *responses.shape[-2:])


class _GroupNorm(nn.GroupNorm):
    """Group normalisation that takes groups of one value too, as a map of one pixel has; their variance is 0."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise ``input`` [B, C, H, W]; torch's own module raises where a group holds one value."""
        return torch.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)
