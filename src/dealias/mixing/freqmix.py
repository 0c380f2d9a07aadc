# SPDX-License-Identifier: Apache-2.0
"""FreqMix: weigh the low and the high frequencies of a map, per pixel and per channel (ICLR 2024, arXiv:2403.09065)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..ops.spectrum import low_pass, projection

_EPSILON = 1e-8
_NEUTRAL = 2**-0.25
"""Where every sigmoid starts: spatial map times channel gate, s * sqrt(2) s, is then 1."""


class FreqMix(nn.Module):
    """Mix the two bands of a map: ``y = A_l c_l LP(x) + A_h c_h HP(x)``, with ``HP(x) = x - LP(x)``.

    LP is the ideal low-pass of :func:`dealias.ops.spectrum.low_pass`, the only transform. The spatial maps (A_l, A_h),
    in 0..1, are the sigmoid of a 3x3 convolution of ``x`` (zero border). The channel gates, in 0..sqrt(2), are

        c = sqrt(M(r)**2 + M(i)**2 + 1e-8),    M = sigmoid(1x1(relu(1x1(.))))

    with one M per band and descriptors r, i of that band, one number per channel each. By default both are the band's
    mean magnitude, the mean over the pixels of ``|LP(x)|`` or of ``|HP(x)|``: a function of the sample alone. The
    published code (``released=True``) takes the real and the imaginary part of the band's complex value at the first
    pixel instead, which is what its average over the shifted spectrum amounts to, and by that shift reads them
    ``B // 2`` samples and ``C // 2`` channels away: a gate then depends on another sample of the batch. Its low-pass is
    the published one, too. Weights fit both forms; results of one are not those of the other.

    A new module is the identity to about 1 % for maps of variance 1, in both forms, so that it can be put into a
    trained network: every sigmoid starts at 2**(-1/4). (The published initial weights are not known; under torch's
    usual ones it would start near 0.35 x.)

    The low-pass, the descriptors and the sum in a gate are computed in float32 at least, whatever the precision of
    ``x``; no complex numbers are used.

    Args:
        channels: channels of the map.
        cutoff: highest frequency of the low band on each axis, cycles per sample, 0-0.5.
        reduction: channels over hidden channels of M; at least one hidden channel is kept.
        released: compute as the published code does, to use published weights.

    Raises:
        ValueError: no channels, a cutoff out of range, or a reduction below 1.

    >>> mix = FreqMix(32)
    >>> x = torch.rand(1, 32, 15, 20)
    >>> y = mix(x)
    >>> y.shape, bool((y - x).abs().max() < 0.02)
    (torch.Size([1, 32, 15, 20]), True)
    """

    def __init__(self, channels: int, cutoff: float = 0.35, reduction: int = 16, released: bool = False) -> None:
        super().__init__()
        if channels < 1 or not 0 <= cutoff <= 0.5 or reduction < 1:
            raise ValueError(
                "FreqMix: channels and reduction must be at least 1 and cutoff 0-0.5 cycles per sample, "
                f"got {channels=}, {reduction=}, {cutoff=}"
            )
        self.channels, self.cutoff, self.released = channels, cutoff, released
        hidden = max(1, channels // reduction)
        self.spatial = nn.Conv2d(channels, 2, 3, padding=1)
        _start_neutral(self.spatial)
        self.low_gate, self.high_gate = _gate_layers(channels, hidden), _gate_layers(channels, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the bands of x [B, channels, H, W], any H and W: same shape and dtype.

        Raises:
            ValueError: another rank or another number of channels.
        """
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ValueError(f"FreqMix: needs x [B, {self.channels}, H, W], got {tuple(x.shape)}")
        low = low_pass(x, self.cutoff, self.released)
        high = x - low
        low_parts, high_parts = self._released_parts(x) if self.released else (_magnitude(low), _magnitude(high))
        low_map, high_map = self.spatial_maps(x).to(x.dtype).split(1, dim=1)
        low = low * _gate(self.low_gate, low_parts) * low_map
        return torch.addcmul(low, high * _gate(self.high_gate, high_parts), high_map)

    def spatial_maps(self, x: Tensor) -> Tensor:
        """The weights (A_l, A_h) of every pixel: [B, channels, H, W] to [B, 2, H, W], in 0..1."""
        return self.spatial(x).sigmoid()

    def _released_parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Real and imaginary part of both bands' complex value at the first pixel, rolled: two of [B, C, 2, 1]."""
        shift = x.shape[0] // 2, x.shape[1] // 2
        low = _first_pixel(x, self.cutoff)
        whole = torch.cat([x[:, :, :1, :1], torch.zeros_like(low[:, :, :1])], dim=2)
        return low.roll(shift, (0, 1)), (whole - low).roll(shift, (0, 1))


def _gate_layers(channels: int, hidden: int) -> nn.Sequential:
    """M: [B, channels, *] to the same shape, in 0..1, each position by itself."""
    first, last = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1)
    _start_neutral(last)
    return nn.Sequential(first, nn.ReLU(), last, nn.Sigmoid())


def _start_neutral(convolution: nn.Conv2d) -> None:
    """Let the sigmoid after a convolution start near :data:`_NEUTRAL`."""
    nn.init.normal_(convolution.weight, std=0.001)
    if convolution.bias is not None:
        nn.init.constant_(convolution.bias, math.log(_NEUTRAL / (1 - _NEUTRAL)))


def _gate(layers: nn.Module, parts: Tensor) -> Tensor:
    """The gates of the channels, [B, C, 1, 1], from the two descriptors in parts [B, C, 2, 1]; dtype of ``parts``."""
    both = layers(parts).to(_wide(parts))  # squares of half precision underflow
    return (both.square().sum(2, keepdim=True) + _EPSILON).sqrt().to(parts.dtype)


def _magnitude(band: Tensor) -> Tensor:
    """Mean magnitude of each channel, as real and as imaginary part: [B, C, H, W] to [B, C, 2, 1]."""
    total = torch.linalg.vector_norm(band, ord=1, dim=(2, 3), keepdim=True, dtype=_wide(band))
    return (total / (band.shape[2] * band.shape[3])).to(band.dtype).expand(-1, -1, 2, -1)


def _first_pixel(x: Tensor, cutoff: float) -> Tensor:
    """Complex value of the published low-pass at the first pixel: [B, C, H, W] to [B, C, 2, 1], dtype of ``x``."""
    wide = x.to(_wide(x))
    rows, columns = (projection(size, cutoff, True, x.device, wide.dtype).first_row for size in x.shape[-2:])
    with torch.autocast(x.device.type, enabled=False):
        products = rows @ wide @ columns.t()  # [B, C, 2, 2]: real and imaginary parts down and across
    real, imaginary = products[..., 0, 0] - products[..., 1, 1], products[..., 0, 1] + products[..., 1, 0]
    return torch.stack([real, imaginary], dim=2)[..., None].to(x.dtype)


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
