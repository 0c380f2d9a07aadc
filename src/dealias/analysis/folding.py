# SPDX-License-Identifier: Apache-2.0
"""What a low-pass filter before a strided layer folds and what it keeps: exact for white noise, and as a zone plate.

Frequencies f are in cycles per sample; the grid's own limit is 0.5. Keeping every s-th sample leaves the band
|fx|, |fy| < 1 / (2 s); all other power of the filtered signal folds into it under a false frequency. White noise has
the same power at every frequency, so with a separable filter H(fx) H(fy) and P(b) the integral of |H(f)|^2 over
|f| < b:

- folded power = 1 - (P(1 / (2 s)) / P(1 / 2))^2, the share of the filtered signal that folds,
- kept band = (s P(1 / (2 s)))^2, the share of the band's own power that the filter leaves in it.

No filter at stride 2 folds 75 % and keeps 100 %; the ideal filter at 0.25 folds nothing and keeps 100 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class LowPass(Protocol):
    """A filter that acts on rows and columns alike."""

    def power_below(self, edge: float) -> float:
        """Integral of ``|H(f)|**2`` over ``|f| < edge``, edge in cycles per sample, 0 to 0.5."""
        ...

    def apply(self, image: Tensor) -> Tensor:
        """Filter both axes of ``image`` [H, W]; same size."""
        ...


@dataclass(frozen=True)
class Taps:
    """A short filter by its weights, which are used as they are (1, 2, 1 over 4: ``Taps((0.25, 0.5, 0.25))``).

    Borders wrap around. A filter of even length is half a sample off, to the right and down, as 2x2 average pooling is.
    """

    weights: tuple[float, ...]

    def power_below(self, edge: float) -> float:
        """Closed form from the autocorrelation r: ``2 b r_0 + 2 sum_k r_k sin(2 pi k b) / (pi k)``."""
        taps = self.weights
        lags = [sum(a * b for a, b in zip(taps, taps[lag:], strict=False)) for lag in range(len(taps))]
        waves = sum(r * math.sin(2 * math.pi * k * edge) / (math.pi * k) for k, r in enumerate(lags) if k)
        return 2 * edge * lags[0] + 2 * waves

    def apply(self, image: Tensor) -> Tensor:
        """Filter both axes of ``image`` [H, W]; same size."""
        taps = torch.tensor(self.weights, dtype=image.dtype, device=image.device)
        before, after = (len(taps) - 1) // 2, len(taps) // 2
        padded = F.pad(image[None, None], (before, after, before, after), mode="circular")
        return F.conv2d(F.conv2d(padded, taps.view(1, 1, 1, -1)), taps.view(1, 1, -1, 1))[0, 0]


@dataclass(frozen=True)
class BandLimit:
    """The ideal low-pass: 1 for ``|f| <= cutoff``, 0 above, on both axes; borders wrap around."""

    cutoff: float

    def power_below(self, edge: float) -> float:
        """``2 min(edge, cutoff)``."""
        return 2 * min(edge, self.cutoff)

    def apply(self, image: Tensor) -> Tensor:
        """Filter both axes of ``image`` [H, W]; same size."""
        height, width = image.shape
        rows = torch.fft.fftfreq(height, device=image.device).abs() <= self.cutoff
        columns = torch.fft.rfftfreq(width, device=image.device) <= self.cutoff
        spectrum = torch.fft.rfft2(image) * (rows[:, None] & columns)
        return torch.fft.irfft2(spectrum, s=(height, width))


def folded_power(lowpass: LowPass, stride: int = 2) -> float:
    """Share of filtered white noise that folds when every ``stride``-th sample is kept, 0 to 1.

    >>> round(folded_power(Taps((1.0,))), 2), round(folded_power(BandLimit(0.25)), 2)
    (0.75, 0.0)
    """
    return 1 - (lowpass.power_below(0.5 / stride) / lowpass.power_below(0.5)) ** 2


def kept_band(lowpass: LowPass, stride: int = 2) -> float:
    """Share of white noise's power below the new limit ``1 / (2 stride)`` that the filter leaves, 0 to 1.

    >>> round(kept_band(Taps((0.5, 0.5))), 3)
    0.67
    """
    return (lowpass.power_below(0.5 / stride) * stride) ** 2


def zone_plate(size: int = 256) -> Tensor:
    """The test picture [size, size], values -1 to 1, whose frequency grows from 0 in the centre to 0.5 at the edges.

    ``cos(pi r^2 / size)`` with r the distance from the centre in pixels: the local frequency at (x, y) from there is
    (x, y) / size, and the picture continues across its borders when ``size`` is even. After keeping every second
    sample, rings that are not in the original appear around the middles of the edges and the corners: the frequencies
    that folded.
    """
    axis = torch.arange(size, dtype=torch.float64) - size // 2
    squares = axis**2
    return torch.cos(math.pi / size * (squares[:, None] + squares)).float()


FILTERS: dict[str, LowPass] = {
    "no filter": Taps((1.0,)),
    "2x2 average": Taps((0.5, 0.5)),
    "blur 3": Taps((0.25, 0.5, 0.25)),
    "blur 5": Taps((0.0625, 0.25, 0.375, 0.25, 0.0625)),
    "ideal 0.354": BandLimit(math.sqrt(2) / 4),
    "ideal 0.25": BandLimit(0.25),
}
"""The filters of the panel by caption; 0.354 is the limit of a 3x3 stride-2 layer that doubles the channels."""
