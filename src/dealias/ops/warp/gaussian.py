# SPDX-License-Identifier: Apache-2.0
"""The moments of a windowed Gaussian along one axis as small dense matrices, the border's reflection folded in.

Row p of the matrix of order m holds k(t) t^m, k(t) = exp(-t² / 2 sigma²), at the places p + t of its window. Places
outside of the axis take their value from the pixel that they reflect, while their distance t goes on growing. One
product with such a matrix serves any window and any size, and is faster than convolutions, on wide windows many times.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

PUBLISHED_FWHM = 3.0
"""Full width at half maximum of the published kernel, pixels: a sigma of 1.274."""

PUBLISHED_WINDOW = 11
"""Taps of the published kernel."""


def gaussian_moments(size: int, sigma: float | Tensor, window: int, orders: int, like: Tensor) -> Tensor:
    """The matrices of the orders from 0 on below one another: [orders * size, size], device and dtype of ``like``.

    Those of a sigma that is a number are kept and shared: do not write to them. While a graph is traced they are built
    in it, so that one graph serves every size.

    Args:
        size: pixels of the axis, at least 1.
        sigma: of the Gaussian, pixels, above 0; gradients reach a tensor [].
        window: taps, odd.
        orders: how many moments, 1-3.
        like: gives the device and the dtype.
    """
    if isinstance(sigma, Tensor) or torch.compiler.is_compiling() or is_in_torch_dispatch_mode():
        return _build(size, sigma, window, orders, like.device, like.dtype)
    return _cached(size, sigma, window, orders, like.device, like.dtype)


def gaussian_window(
    sigma: float | Tensor | None, fwhm: float | None, window: int | None, name: str
) -> tuple[float | Tensor, int]:
    """The sigma and the window that these arguments of :func:`~dealias.ops.warp.saliency_map` mean.

    Raises:
        ValueError: both widths are given, one is not positive or of more than one value, the window is not an odd
            number of at least 3, or it would have to follow from a tensor while a graph is traced.
    """
    if sigma is not None and fwhm is not None:
        raise ValueError(f"{name}: takes sigma or fwhm, got {sigma} and {fwhm}")
    if isinstance(sigma, Tensor):
        if sigma.ndim != 0:
            raise ValueError(f"{name}: sigma must be one number, got {tuple(sigma.shape)}")
        if window is None and torch.compiler.is_compiling():
            raise ValueError(f"{name}: a traced graph needs the window of a sigma that is a tensor")
    else:
        if sigma is None and fwhm is None:
            fwhm, window = PUBLISHED_FWHM, PUBLISHED_WINDOW if window is None else window
        sigma = fwhm / math.sqrt(8 * math.log(2)) if fwhm is not None else sigma
        if sigma is None or not 0 < sigma < math.inf:
            raise ValueError(f"{name}: sigma and fwhm must be positive, got {sigma}")
    if window is None:
        width = sigma.item() if isinstance(sigma, Tensor) else sigma
        window = 2 * math.ceil(4 * width) + 1
    if window < 3 or window % 2 == 0:
        raise ValueError(f"{name}: window must be an odd number of at least 3, got {window}")
    return sigma, window


@functools.lru_cache(maxsize=64)
def _cached(size: int, sigma: float, window: int, orders: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):  # inference tensors could not be used in training later
        return _build(size, sigma, window, orders, device, dtype)


def _build(
    size: int, sigma: float | Tensor, window: int, orders: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    place = torch.arange(size, device=device)[:, None]
    step = torch.arange(-(window // 2), window // 2 + 1, device=device)
    index = _reflect(place + step, size).expand(orders, -1, -1)
    distance = step.to(dtype)
    weight = torch.exp(-((distance / sigma) ** 2) / 2)
    values = torch.stack([weight * distance**order for order in range(orders)])[:, None].expand_as(index)
    matrices = values.new_zeros(orders, size, size).scatter_add(2, index, values)
    inner = (place > 0) & (place < size - 1)  # odd moments vanish at the mirrors, not only up to rounding
    kept = torch.stack([inner | (order % 2 == 0) for order in range(orders)])
    return (matrices * kept).flatten(0, 1)


def _reflect(place: Tensor, size: int) -> Tensor:
    """The pixel that a place shows: mirrored at the outermost ones, as often as needed, a triangular wave."""
    period = max(2 * (size - 1), 1)
    place = place % period
    return torch.minimum(place, period - place)
