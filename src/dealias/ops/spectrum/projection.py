# SPDX-License-Identifier: Apache-2.0
"""The low-pass of one axis as a small dense matrix: a periodic sinc.

Keeping L consecutive frequencies of n, the first of them f, multiplies a signal by the circulant matrix

    P[a, b] = 1/n sum_k exp(2 pi i k d / n) = exp(pi i (2f + L - 1) d / n) sin(pi L d / n) / (n sin(pi d / n)),

d = a - b. Its real part is symmetric. Its imaginary part is antisymmetric: 1/n sin(2 pi k d / n) of the one kept
frequency k that lacks its partner of opposite sign, a matrix of rank two, and zero where there is no such frequency.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from .band import check_cutoff, kept_band, traced_band


class Projection(NamedTuple):
    """The projection of an axis onto its kept frequencies: ``real + i * imaginary``, both [size, size].

    Row p gives the complex low-pass at sample p; row 0 is the mean of the masked spectrum over all frequencies.
    """

    real: Tensor
    """Symmetric."""

    imaginary: Tensor | None
    """Antisymmetric; ``None`` where it is zero."""

    @property
    def first_row(self) -> Tensor:
        """Real and imaginary part of row 0, [2, size]."""
        real = self.real[0]
        return torch.stack([real, torch.zeros_like(real) if self.imaginary is None else self.imaginary[0]])


def projection(
    size: int,
    cutoff: float,
    released: bool = False,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Projection:
    """The matrices that apply the low-pass of :func:`~dealias.ops.low_pass` to one axis.

    The matrices of recent sizes are kept and shared: do not write to them. While a graph is traced they are built in
    it, so that one graph serves every size; then the released mask has an imaginary part even where it is zero.

    Args:
        size: samples of the axis, at least 1.
        cutoff: cycles per sample, 0-0.5.
        released: the published mask, see :func:`~dealias.ops.spectrum.kept_band`.
        device: of the matrices, by default the CPU.
        dtype: of the matrices, computed in float64.

    Raises:
        ValueError: the size or the cut-off is out of range.

    >>> projection(3, 0.0).real
    tensor([[0.3333, 0.3333, 0.3333],
            [0.3333, 0.3333, 0.3333],
            [0.3333, 0.3333, 0.3333]])
    """
    check_cutoff(cutoff, "projection")
    if size < 1:
        raise ValueError(f"projection: size must be at least 1, got {size}")
    device = torch.device("cpu" if device is None else device)
    if torch.compiler.is_compiling() or is_in_torch_dispatch_mode():  # what is built here belongs to a graph
        return _build(size, traced_band(size, cutoff, released, device), device, dtype, released)
    return _cached(size, cutoff, released, device, dtype)


@functools.lru_cache(maxsize=64)
def _cached(size: int, cutoff: float, released: bool, device: torch.device, dtype: torch.dtype) -> Projection:
    first, count = band = kept_band(size, cutoff, released)
    paired = count == size or 2 * first + count == 1
    with torch.inference_mode(False):  # inference tensors could not be used in training later
        return _build(size, band, device, dtype, not paired)


def _build(
    size: int,
    band: tuple[int, int] | tuple[Tensor, Tensor],
    device: torch.device,
    dtype: torch.dtype,
    complex_valued: bool,
) -> Projection:
    first, count = band
    place = torch.arange(size, device=device)
    distance = place[:, None] - place
    sinc = _sine(distance * count, size) / (size * _sine(distance, size))
    sinc = torch.where(distance == 0, count / size, sinc)
    centre = distance * (2 * first + count - 1)
    imaginary = (_sine(centre, size) * sinc).to(dtype) if complex_valued else None
    return Projection((_cosine(centre, size) * sinc).to(dtype), imaginary)


def _sine(steps: Tensor, size: int) -> Tensor:
    """``sin(pi * steps / size)`` in float64; the argument is reduced in whole numbers, so that it is exact."""
    return torch.sin((steps % (2 * size)).double() * (math.pi / size))


def _cosine(steps: Tensor, size: int) -> Tensor:
    return torch.cos((steps % (2 * size)).double() * (math.pi / size))
