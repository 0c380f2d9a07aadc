# SPDX-License-Identifier: Apache-2.0
"""One level of an orthogonal wavelet transform (Mallat 1989) as a strided grouped convolution."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_TOLERANCE = 1e-6
"""How far given taps may be from orthonormal."""


class WaveletSplit(nn.Module):
    """Split a map into a low band and three bands of detail, each of half its size.

    With L taps per axis, v along the vertical one and h along the horizontal one, each the low-pass or the high-pass::

        band[k, l] = sum_ij  v[i] h[j] x[2k + 1 - L/2 + i, 2l + 1 - L/2 + j]

    so that a coefficient is centred on the 2 x 2 pixels that it stands for. The map is zero outside, and a last odd row
    or column is completed by zeros. Up to that border the transform is orthonormal.

    Args:
        wavelet: ``"haar"``; another orthogonal wavelet's name in PyWavelets, which is needed for these names alone; or
            the low-pass taps of its reconstruction.

    Raises:
        ValueError: an unknown name, a wavelet that is not orthogonal, taps that are not orthonormal, or a name that
            needs PyWavelets where there is none.

    >>> low, details = WaveletSplit("haar")(torch.ones(1, 3, 4, 6))
    >>> low.shape, details.shape
    (torch.Size([1, 3, 2, 3]), torch.Size([1, 9, 2, 3]))
    >>> round(low.mean().item(), 6), details.abs().sum().item()
    (2.0, 0.0)
    """

    low: Tensor
    high: Tensor

    def __init__(self, wavelet: str | Sequence[float] = "haar") -> None:
        super().__init__()
        low = orthogonal_taps(wavelet)
        high = [tap * (-1) ** i for i, tap in enumerate(reversed(low))]
        self.register_buffer("low", torch.tensor(low), persistent=False)
        self.register_buffer("high", torch.tensor(high), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Split ``x`` [B, C, H, W], h = H/2 and w = W/2 rounded up.

        Returns:
            The low band, [B, C, h, w], and the details, [B, 3*C, h, w]: every channel's difference along the vertical
            axis, along the horizontal one, and along both (Haar: the upper minus the lower pixels, the left ones minus
            the right ones).
        """
        channels, (height, width) = x.shape[1], x.shape[-2:]
        if height % 2 or width % 2:
            x = F.pad(x, (0, width % 2, 0, height % 2))
        kernels = self.kernels()
        weight, padding = kernels.repeat(channels, 1, 1)[:, None], kernels.shape[-1] // 2 - 1
        bands = F.conv2d(x, weight, stride=2, padding=padding, groups=channels).unflatten(1, (channels, 4))
        return bands[:, :, 0], bands[:, :, 1:].flatten(1, 2)

    def kernels(self) -> Tensor:
        """The kernels of the four bands, [4, L, L]."""
        taps = torch.stack([self.low, self.high])
        return band_kernels(taps, taps)


def band_kernels(vertical: Tensor, horizontal: Tensor) -> Tensor:
    """Kernels of the low band and the vertical, horizontal and diagonal differences, [4, L, L].

    Args:
        vertical: low-pass and high-pass taps along the vertical axis, [2, L].
        horizontal: the same along the horizontal axis.
    """
    return torch.einsum("vi,hj->hvij", vertical, horizontal).flatten(0, 1)


def orthogonal_taps(wavelet: str | Sequence[float]) -> list[float]:
    """The low-pass taps of a wavelet's reconstruction; arguments and errors as for :class:`WaveletSplit`.

    >>> orthogonal_taps("haar")
    [0.7071067811865476, 0.7071067811865476]
    """
    if wavelet == "haar":
        return [math.sqrt(0.5)] * 2
    if isinstance(wavelet, str):
        return _taps_by_name(wavelet)
    if not _are_orthonormal(wavelet):
        raise ValueError(
            "a wavelet's taps must be of an even number, orthonormal to their even shifts and of sum sqrt(2); "
            f"got {list(wavelet)}"
        )
    return list(wavelet)


def _are_orthonormal(taps: Sequence[float]) -> bool:
    products = [sum(a * b for a, b in zip(taps, taps[shift:], strict=False)) for shift in range(0, len(taps), 2)]
    errors = [abs(sum(taps) - math.sqrt(2)), *(abs(product - (i == 0)) for i, product in enumerate(products))]
    return len(taps) % 2 == 0 and max(errors) < _TOLERANCE


def _taps_by_name(name: str) -> list[float]:
    try:
        import pywt
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the wavelet {name!r} is not 'haar' and needs PyWavelets (pip install 'dealias[wavelets]'), which is not "
            "installed, or its taps in place of the name"
        ) from error
    orthogonal = [known for known in pywt.wavelist(kind="discrete") if pywt.Wavelet(known).orthogonal]
    if name not in orthogonal:
        raise ValueError(f"unknown orthogonal wavelet {name!r}; known: {', '.join(orthogonal)}")
    return list(pywt.Wavelet(name).rec_lo)
