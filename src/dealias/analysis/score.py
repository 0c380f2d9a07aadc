# SPDX-License-Identifier: Apache-2.0
"""The aliasing score: how much of a feature map's power is above what the next layer can keep (arXiv:2403.09065)."""

from __future__ import annotations

import torch
from torch import Tensor

from dealias.ops.spectrum import kept_band, low_pass

from .spectra import power_shares

_LIMIT = 0.5
"""Cycles per sample: a grid holds no higher frequencies."""


def aliasing_score(x: Tensor, cutoff: float) -> Tensor:
    """Share of the power of feature maps at frequencies with |fx| or |fy| above ``cutoff``.

    The share is taken in each channel, with its mean (frequency 0) counted in the whole, and averaged over the
    channels; a channel that is zero everywhere counts as 0. White noise has the score ``1 - (2 cutoff)**2``: 0.5 at
    sqrt(2) / 4, 0.75 at 0.25.

    Args:
        x: feature maps before downsampling, [B, C, H, W], any floating type; the spectrum is computed in float32, or
            float64 for such maps. Borders wrap around.
        cutoff: cycles per sample, not negative: half the equivalent sampling rate of the layer that follows. At 0.5 and
            more the score is 0.

    Returns:
        [B], 0 to 1.

    Raises:
        ValueError: shape or cutoff.

    >>> wave = torch.cos(2 * torch.pi * 0.375 * torch.arange(16.0))
    >>> maps = torch.stack([1 + wave, 1 + 0 * wave]).view(1, 2, 1, 16)
    >>> round(aliasing_score(maps, cutoff=0.25).item(), 4)  # 0.5 / (1 + 0.5) in one of two channels
    0.1667
    """
    return share_above(power_shares(x), cutoff)


def share_above(shares: Tensor, cutoff: float) -> Tensor:
    """:func:`aliasing_score` from the shares [B, H, W] of :func:`dealias.analysis.spectra.power_shares`."""
    _check(cutoff)
    rows, columns = (_is_above(length, cutoff, shares.device) for length in shares.shape[-2:])
    return (shares * (rows[:, None] | columns)).sum((-2, -1))


def aliasing_map(x: Tensor, cutoff: float) -> Tensor:
    """Where in the maps the power above ``cutoff`` is.

    Each channel less its low-pass, squared, as a share of the mean power of that channel; averaged over the channels.
    The mean of the result over all positions is :func:`aliasing_score`.

    Args:
        x: feature maps, [B, C, H, W], any floating type, computed as in :func:`aliasing_score`.
        cutoff: cycles per sample, not negative.

    Returns:
        [B, H, W], not negative: local power above the cutoff, 1 being the mean power of a channel.

    Raises:
        ValueError: shape or cutoff.
    """
    _check(cutoff)
    if x.ndim != 4:
        raise ValueError(f"feature maps must be [B, C, H, W], got shape {tuple(x.shape)}")
    x = x if x.dtype == torch.float64 else x.float()
    tiny = torch.finfo(x.dtype).tiny
    x = x / x.abs().amax((-2, -1), keepdim=True).clamp(min=tiny)
    mean_power = x.square().mean((-2, -1), keepdim=True).clamp(min=tiny)
    return ((x - low_pass(x, min(cutoff, _LIMIT))).square() / mean_power).mean(1)


def _is_above(size: int, cutoff: float, device: torch.device) -> Tensor:
    """Which frequencies of ``size`` samples, in the order of the FFT, the low-pass removes: [size], bool."""
    lowest, _ = kept_band(size, min(cutoff, _LIMIT))
    order = torch.arange(size, device=device)
    return torch.minimum(order, size - order) > -lowest


def _check(cutoff: float) -> None:
    if not cutoff >= 0:
        raise ValueError(f"cutoff must not be negative (cycles per sample), got {cutoff}")
