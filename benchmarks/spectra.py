# SPDX-License-Identifier: Apache-2.0
"""The forms to compare with: complex spectra, as the published de-aliasing filter and FreqMix use them (2403.09065).

Transform, move the zero frequency to the middle along all four axes, mask, and all of it back: by definition, and
independently of :mod:`dealias.ops.spectrum`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import torch
from torch import Tensor

from dealias.mixing import FreqMix

ALL_AXES = (0, 1, 2, 3)


def low_pass(x: Tensor, cutoff: float, released: bool = False) -> Tensor:
    """Every frequency of each axis above the cut-off removed; half precision in float32."""
    return back(shifted_spectrum(x) * mask(x, cutoff, released)).to(x.dtype)


def mix(module: FreqMix, x: Tensor) -> Tensor:
    """FreqMix with a transform back for either band, and the gates from the bands as its docstring says."""
    spectrum, kept = shifted_spectrum(x), mask(x, module.cutoff, module.released)
    mixed = torch.zeros_like(x)
    maps = module.spatial(x).sigmoid()
    for index, (part, layers) in enumerate(((kept, module.low_gate), (1 - kept, module.high_gate))):
        band = spectrum * part
        values = back(band).to(x.dtype)
        magnitude = values.abs().mean((2, 3), keepdim=True)
        average = band.mean((2, 3), keepdim=True) if module.released else torch.complex(magnitude, magnitude)
        gate = (layers(average.real).square() + layers(average.imag).square() + 1e-8).sqrt()
        mixed = mixed + maps[:, index : index + 1] * gate * values
    return mixed


def shifted_spectrum(x: Tensor) -> Tensor:
    """The spectrum, zero frequency in the middle; batch and channels move along."""
    return torch.fft.fftshift(torch.fft.fft2(x.float()), dim=ALL_AXES)


def back(spectrum: Tensor) -> Tensor:
    return torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=ALL_AXES)).real


def mask(x: Tensor, cutoff: float, released: bool) -> Tensor:
    """One at the kept frequencies of the shifted spectrum, [H, W]."""
    kept = torch.zeros(x.shape[-2:], device=x.device)
    if released:
        rows, columns = (slice(*(round(n / 2 + sign * n * cutoff) for sign in (-1, 1))) for n in x.shape[-2:])
        kept[rows, columns] = 1
        return kept
    down, across = ((torch.fft.fftshift(torch.fft.fftfreq(n)).abs() <= cutoff).to(kept) for n in x.shape[-2:])
    return kept + down[:, None] * across


@contextmanager
def instead_of_ours() -> Iterator[None]:
    """Let the de-aliasing filter and FreqMix run on complex spectra."""
    with ExitStack() as stack:
        stack.enter_context(patch("dealias.filters.dealiasing.low_pass", low_pass))
        stack.enter_context(patch.object(FreqMix, "forward", mix))
        yield
