# SPDX-License-Identifier: Apache-2.0
"""A2U (CVPR 2021, arXiv:2011.14288) under its published names and state-dict keys: kernels, operators, upsampler."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .. import fusion
from ..ops import reassemble
from .carafe import carafe
from .naming import alias, publish_names


def biupsample_naive(features: Tensor, masks: Tensor, kernel_size: int, group_size: int, scale_factor: int) -> Tensor:
    """The published upsampling operator, which is :func:`~dealias.compat.carafe`; same arguments."""
    return carafe(features, masks, kernel_size, group_size, scale_factor)


def bidownsample_naive(features: Tensor, masks: Tensor, kernel_size: int, group_size: int, scale_factor: int) -> Tensor:
    """The published downsampling operator: each output pixel sums a window of even side around its 2x2 cell.

    A window of 2 s pixels is one of s cells, so the sum over it is a reassembly of the four sub-pixels of all cells.

    Args:
        features: [B, C, H, W], even H and W.
        masks: kernels, [B, group_size*kernel_size**2, H/2, W/2], taps in row-major order from row and column ``2 i -
            kernel_size/2 + 1``; taken as they are.
        kernel_size: side of the windows, twice an odd number.
        group_size: number of channel groups, divides C.
        scale_factor: 2, the only ratio there is.

    Returns:
        [B, C, H/2, W/2]; outside the map features count as 0.

    Raises:
        ValueError: the arguments do not fit together.
    """
    b, taps, h, w = masks.shape
    cells = kernel_size // 2
    if scale_factor != 2 or kernel_size % 4 != 2 or taps != group_size * kernel_size**2:
        raise ValueError(
            f"bidownsample_naive: needs scale_factor 2, a kernel_size of twice an odd number and group_size * "
            f"kernel_size**2 mask channels; got {scale_factor}, {kernel_size}, {group_size} and {taps} channels"
        )
    if features.shape[-2:] != (2 * h, 2 * w):
        raise ValueError(
            f"bidownsample_naive: features must be twice as large as masks, "
            f"got {tuple(features.shape)} and {tuple(masks.shape)}"
        )
    sub_pixels = F.pixel_unshuffle(features, 2).reshape(b, -1, 4, h, w).transpose(1, 2).flatten(1, 2)
    kernels = masks.reshape(b, group_size, cells, 2, cells, 2, h, w).permute(0, 3, 5, 1, 2, 4, 6, 7)
    sums = reassemble(sub_pixels, kernels.reshape(b, taps, h, w), 4 * group_size)
    return sums.reshape(b, 4, -1, h, w).sum(dim=1)


class _Kernels(fusion.A2U):
    """The kernels of the upsampling side under published keys."""

    norm_u, norm_v = alias("bnu.0"), alias("bnv.0")
    taps = alias("bconv_UP.1")
    filter_u, filter_v = alias("bconv_U.1"), alias("bconv_V.1")

    def __init__(self, channels: int, kernel_size: int, encoder_kernel: int, groups: int, shared: bool) -> None:
        coarse_channels = groups  # of any number: only kernels are made here
        super().__init__(channels, coarse_channels, kernel_size, encoder_kernel, groups, shared)
        publish_names(
            self,
            {
                "norm_u": "bnu.0",
                "norm_v": "bnv.0",
                "taps": "bconv_UP.1",
                "filter_u": "bconv_U.1",
                "filter_v": "bconv_V.1",
            },
        )

    def _normalise(self, gates: Tensor) -> Tensor:
        return self._softmax(gates, self.kernel_size**2) if self.kernel_size > 1 else gates

    def _softmax(self, logits: Tensor, taps: int) -> Tensor:
        """Softmax over taps, which are the outer and groups the inner channels here."""
        b, _, h, w = logits.shape
        return logits.reshape(b, taps, self.groups, h, w).softmax(dim=1).reshape(logits.shape)


class InterChannelUpDown(_Kernels):
    """The published kernel generator: ``forward(x)`` with x [B, channels, H, W] gives ``(kernel_down, kernel_up)``.

    kernel_down is [B, group*(2s)**2, H/2, W/2] for :func:`bidownsample_naive` with side 2s, kernel_up [B, group*s**2,
    H, W] for :func:`biupsample_naive` with side s. With more than one group the published softmax and the published
    operators order (tap, group) differently, so that the kernels the operators see do not sum to 1; this is kept.

    Args:
        channels: channels of x, a multiple of 32.
        up_kernel_size: side s of the upsampling kernels, odd.
        encode_kernel_size: side of the filters U and V.
        downupsample_group: channel groups with kernels of their own.
        share: one U and one V for all channels.

    Raises:
        ValueError: an even ``up_kernel_size``, or channels that are no multiple of 32; in ``forward``, odd sizes.
    """

    def __init__(
        self,
        channels: int,
        up_kernel_size: int = 5,
        encode_kernel_size: int = 5,
        downupsample_group: int = 1,
        share: bool = False,
    ) -> None:
        super().__init__(channels, up_kernel_size, encode_kernel_size, downupsample_group, share)
        outputs = 4 * up_kernel_size**2 * downupsample_group
        behind = {name: self._modules.pop(name) for name in ("bconv_U", "bconv_V")}
        self.bconv_DP = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, outputs, 1))
        self._modules.update(behind)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]  # the published call gives kernels
        """Kernels of both sides from the guide x [B, channels, H, W], even H and W."""
        _check_even(x)
        affinity = self.affinity(x)
        down = self._softmax(self.bconv_DP(x) * affinity, 4 * self.kernel_size**2)
        return down, self.kernels(x, affinity)


class A2U(nn.Module):
    """The published upsampler of the detection comparisons: ``forward(guide, low)``, no downsampling side.

    Args:
        in_channels: channels of the guide, a multiple of 32; ``low`` may have any.
        up_kernel: side of the upsampling kernels, odd.
        scale: 2, the only ratio there is.

    Raises:
        ValueError: another ``scale``, an even kernel, or no multiple of 32 channels; in ``forward``, odd sizes.
    """

    def __init__(self, in_channels: int, up_kernel: int = 3, scale: int = 2) -> None:
        super().__init__()
        if scale != 2:
            raise ValueError(f"A2U: scale must be 2, got {scale}")
        self.up_kernel = up_kernel
        self.kernel_gen = _Kernels(in_channels, up_kernel, encoder_kernel=6, groups=1, shared=True)

    def forward(self, guide: Tensor, low: Tensor) -> Tensor:
        """Upsample low [B, C, h, w] by kernels from the guide [B, in_channels, 2h, 2w]: [B, C, 2h, 2w]."""
        _check_even(guide)
        kernels = self.kernel_gen.kernels(guide, self.kernel_gen.affinity(guide))
        return biupsample_naive(low, kernels, self.up_kernel, 1, 2)


def _check_even(guide: Tensor) -> None:
    if guide.shape[-2] % 2 or guide.shape[-1] % 2:
        raise ValueError(f"A2U: the guide's sides must be even, got {tuple(guide.shape)}")
