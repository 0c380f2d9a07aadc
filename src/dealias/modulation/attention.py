# SPDX-License-Identifier: Apache-2.0
"""Where a map holds high frequencies: the attention of adaptive resampling (SFM, TPAMI 2025, arXiv:2507.11893)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops.windows import window_offsets

NormFactory = Callable[[int], nn.Module]
"""``channels -> normalisation layer``."""

_TAPS = 9
_CENTRE = 4
_LARGEST_RATIO = 1e6
"""Of the attention at two pixels of an image: beyond it a sampling map has no inverse in float32."""


def image_norm(channels: int) -> nn.GroupNorm:
    """Normalise each image by itself over channels and pixels: no image moves the sampling points of another."""
    return nn.GroupNorm(1, channels)


class PyramidAttention(nn.Module):
    """One positive number per pixel, of mean 1 in every image: [B, channels, H, W] to [B, 1, H, W].

    With p the 3x3 mean of ``x``, a pixel's details are ``h = p - sum_t w_t p(. + d_t)`` over its 3x3 window, with
    weights w = softmax of nine learned numbers per channel: a high-pass, zero on constants. Its surroundings are
    ``g_n``, of ``x`` averaged over n x n bins, for every n in ``bins``: 1x1 convolution, norm, ReLU, resized bilinearly
    to the map. Then

        S = H W softmax(1x1 convolution of [h, g_1, g_2, ...])

    over all pixels of the image. Beyond its border ``x`` repeats its outermost pixels.

    Nothing of that width is built. What is linear is done in another order: the 1x1 convolution acts on every ``g_n``
    in its bins, one channel is resized, and for ``h`` one convolution of ``x`` to nine channels, one per tap, is
    followed by means and shifts of these.

    The 1x1 convolution starts at zero, and S at 1 everywhere. Logits and S are float32 at least. Logits are kept within
    log(1e6) of the image's highest: S > 0, the ratio of two values is at most 1e6, and smaller ratios are exact.

    Bins are pooled from the map, not from ``h`` as a sequence of the paper's steps would have it: the mean of a
    high-pass over a bin is a difference of the bin's outermost pixels and says nothing of what is inside.

    Args:
        channels: channels of the map.
        bins: sides n of the pooled maps.
        norm: makes the normalisation of a pooled map from its channels, ``channels // len(bins)``, at least 2. The
            default is per image. Batch normalisation sees one value per image in the 1x1 bin: in training it needs two
            images, and of two keeps no more than the sign of their difference.

    Raises:
        ValueError: no channels, or bins below 1.

    >>> attention = PyramidAttention(8)(torch.rand(1, 8, 5, 6))
    >>> attention.shape, bool((attention == attention.mean()).all())
    (torch.Size([1, 1, 5, 6]), True)
    """

    tap_windows: Tensor

    def __init__(self, channels: int, bins: Sequence[int] = (1, 2, 3, 7), norm: NormFactory = image_norm) -> None:
        super().__init__()
        if channels < 1 or not bins or min(bins) < 1:
            raise ValueError(f"PyramidAttention: channels and bins must be at least 1, got {channels} and {bins}")
        self.channels, self.bins = channels, tuple(bins)
        self.width = max(2, channels // len(self.bins))
        self.smoothing = nn.Parameter(torch.zeros(channels, _TAPS))
        self.branches = nn.ModuleList(_branch(channels, self.width, norm) for _ in self.bins)
        self.fuse = nn.Conv2d(channels + len(self.bins) * self.width, 1, 1, bias=False)
        nn.init.zeros_(self.fuse.weight)
        self.register_buffer("tap_windows", _tap_windows(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The attention of x [B, channels, H, W], any H and W: [B, 1, H, W], float32, float64 for float64.

        Raises:
            ValueError: another rank or another number of channels.
        """
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ValueError(f"PyramidAttention: needs x [B, {self.channels}, H, W], got {tuple(x.shape)}")
        height, width = x.shape[-2:]
        surroundings = [branch(F.adaptive_avg_pool2d(x, n)) for n, branch in zip(self.bins, self.branches, strict=True)]
        wide = torch.promote_types(x.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            of_details, *of_bins = self.fuse.weight.to(wide).split([self.channels, *(self.width for _ in self.bins)], 1)
            logits = self._details(x.to(wide), of_details)
            for pooled, weight in zip(surroundings, of_bins, strict=True):
                logits = logits + _resize(F.conv2d(pooled.to(wide), weight), (height, width))
            below = logits - logits.detach().amax(dim=(2, 3), keepdim=True)
            shares = below.clamp(min=-math.log(_LARGEST_RATIO)).flatten(1).softmax(dim=1)
        return (shares * (height * width)).reshape(-1, 1, height, width)

    def high_pass(self) -> Tensor:
        """The kernels ``identity - w``, row-major, each summing to 0: [channels, 9], float32 at least."""
        weights = self.smoothing.to(torch.promote_types(self.smoothing.dtype, torch.float32)).softmax(dim=1)
        return (torch.arange(_TAPS, device=weights.device) == _CENTRE).to(weights.dtype) - weights

    def _details(self, x: Tensor, weight: Tensor) -> Tensor:
        """The weighted sum of h over the channels, weight [1, channels, 1, 1]: [B, 1, H, W]."""
        kernels = self.high_pass().to(x.dtype) * weight.reshape(-1, 1) / _TAPS
        by_tap = F.conv2d(x, kernels.t()[:, :, None, None])
        return F.conv2d(F.pad(by_tap, (2, 2, 2, 2), mode="replicate"), self.tap_windows.to(x.dtype))


def _branch(channels: int, width: int, norm: NormFactory) -> nn.Sequential:
    conv = nn.Conv2d(channels, width, 1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, norm(width), nn.ReLU(inplace=True))


def _tap_windows() -> Tensor:
    """The kernel that sums nine channels, each over the 3x3 pixels around its own tap: [1, 9, 5, 5]."""
    windows = torch.zeros(1, _TAPS, 5, 5)
    for tap, (dy, dx) in enumerate(window_offsets(3)):
        windows[0, tap, 1 + dy : 4 + dy, 1 + dx : 4 + dx] = 1
    return windows


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
