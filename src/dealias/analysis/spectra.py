# SPDX-License-Identifier: Apache-2.0
"""Power spectra of feature maps, as shares, on grids that do not depend on the size of the map.

Frequencies are in cycles per sample, -0.5 to 0.5 along each axis. A map of N samples knows the frequencies k / N; each
stands for the interval of width 1 / N around it, and its power is spread evenly over that when it is counted into other
intervals. So no power is lost, and maps of different sizes can be averaged.
"""

from __future__ import annotations

import torch
from torch import Tensor


def power_shares(x: Tensor) -> Tensor:
    """Share of each frequency in the power of the channels: taken in each channel, then averaged over the channels.

    A channel that is zero everywhere has no power and counts with zeros. Shares do not depend on the scale of a
    channel. Computed in float32, or float64 for such maps; borders wrap around.

    Args:
        x: feature maps, [B, C, H, W], any floating type.

    Returns:
        [B, H, W], in the order of ``torch.fft.fft2``, at least float32. Sums to 1, less the share of zero channels.

    Raises:
        ValueError: another rank or no samples.
    """
    if x.ndim != 4 or x.numel() == 0:
        raise ValueError(f"feature maps must be [B, C, H, W] and not empty, got shape {tuple(x.shape)}")
    x = x if x.dtype == torch.float64 else x.float()
    tiny = torch.finfo(x.dtype).tiny
    x = x / x.abs().amax((-2, -1), keepdim=True).clamp(min=tiny)  # squares neither overflow nor vanish
    half = torch.view_as_real(torch.fft.rfft2(x, norm="ortho")).square().sum(-1)
    total = x.square().sum((-2, -1), keepdim=True).clamp(min=tiny)
    return _both_halves((half / total).mean(1), x.shape[-1])


def power_spectrum(x: Tensor, size: int = 33) -> Tensor:
    """Two-dimensional power spectrum on a fixed grid.

    Args:
        x: feature maps, [B, C, H, W], any floating type.
        size: cells of the grid along each axis, odd; cell (i, j) is around the frequency
            ``(i - size // 2, j - size // 2) / size``, so the mean (frequency 0) is in the middle.

    Returns:
        [B, size, size], float64: the share of each cell as in :func:`power_shares`.

    Raises:
        ValueError: shape, or an even ``size``.
    """
    return resampled_spectrum(power_shares(x), size)


def radial_spectrum(x: Tensor, bins: int = 32) -> tuple[Tensor, Tensor]:
    """Power by distance from frequency 0, in rings that are square: the distance of (fx, fy) is max(|fx|, |fy|).

    What a grid of samples can hold is a square of frequencies as well, so the power above a cutoff is that of the rings
    outside of it.

    Args:
        x: feature maps, [B, C, H, W], any floating type.
        bins: number of rings between 0 and 0.5 cycles per sample, all equally wide.

    Returns:
        The middle of each ring [bins], and its share [B, bins] as in :func:`power_shares`, both float64.

    Raises:
        ValueError: shape, or no bins.

    >>> frequencies, shares = radial_spectrum(torch.ones(1, 1, 8, 8), bins=4)
    >>> frequencies.tolist(), shares.tolist()
    ([0.0625, 0.1875, 0.3125, 0.4375], [[1.0, 0.0, 0.0, 0.0]])
    """
    return ring_frequencies(bins), resampled_rings(power_shares(x), bins)


def resampled_spectrum(shares: Tensor, size: int) -> Tensor:
    """The grid of :func:`power_spectrum` from the shares [B, H, W] of :func:`power_shares`."""
    if size < 1 or size % 2 == 0:
        raise ValueError(f"the grid needs an odd number of cells, so that frequency 0 has one, got {size}")
    edges = torch.linspace(-0.5, 0.5, size + 1, dtype=torch.float64, device=shares.device)
    rows, columns = (_below(edges, length).diff(dim=0) for length in shares.shape[-2:])
    return rows @ shares.double() @ columns.mT


def resampled_rings(shares: Tensor, bins: int) -> Tensor:
    """The rings of :func:`radial_spectrum` from the shares [B, H, W] of :func:`power_shares`."""
    if bins < 1:
        raise ValueError(f"at least one ring is needed, got {bins}")
    edges = torch.linspace(0, 0.5, bins + 1, dtype=torch.float64, device=shares.device)
    rows, columns = (_below(edges, length) - _below(-edges, length) for length in shares.shape[-2:])
    inside = ((rows @ shares.double()) * columns).sum(-1)  # power in the square up to each edge
    return inside.diff(dim=-1)


def ring_frequencies(bins: int) -> Tensor:
    """The middle of each of ``bins`` rings, [bins], float64, cycles per sample."""
    return (torch.arange(bins, dtype=torch.float64) + 0.5) / (2 * bins)


def _below(edges: Tensor, size: int) -> Tensor:
    """Part of the interval around each frequency of ``size`` samples that lies between -0.5 and each edge.

    Intervals wrap around: of an even number of samples, the one around -0.5 lies half at the other end.

    Returns:
        [edges, size], in the order of the FFT.
    """
    order = torch.arange(size, dtype=torch.float64, device=edges.device)
    signed = torch.where(order < (size + 1) // 2, order, order - size)

    def parts(places: Tensor) -> Tensor:
        start = places - signed + 0.5
        return start.clamp(0, 1) + (start - size).clamp(0, 1)

    return parts(edges[:, None] * size) - parts(torch.full_like(edges, -0.5)[:, None] * size)


def _both_halves(half: Tensor, width: int) -> Tensor:
    """The whole spectrum [..., H, W] of real signals from its columns 0 to W // 2: the others mirror them."""
    mirrored = half[..., 1 : (width + 1) // 2].flip(-1, -2).roll(1, -2)
    return torch.cat([half, mirrored], dim=-1)
