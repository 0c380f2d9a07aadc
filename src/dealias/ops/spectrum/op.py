# SPDX-License-Identifier: Apache-2.0
"""The ideal low-pass as real matrix products, one per axis.

A mask that is a product of two axes' masks is a product of two projections, and these are small dense matrices: for
maps of up to :data:`DENSE_LIMIT` pixels a side multiplying by them is faster than a Fourier transform, forward and
backward. This is a plain function, no registered operator: there is no kernel to hide, ``torch.compile`` fuses and
``torch.export`` writes out what is here, and autograd's gradient of a matrix product saves nothing but the matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .band import axis_mask, check_cutoff
from .projection import projection

DENSE_LIMIT = 768
"""Longest side, pixels, up to which maps are multiplied by matrices; above, a real Fourier transform is faster."""


def low_pass(x: Tensor, cutoff: float, released: bool = False) -> Tensor:
    """Remove every frequency above ``cutoff`` from each channel (de-aliasing filter, arXiv:2403.09065).

    The map counts as periodic; the kept frequencies are those of a square, ``|f_y| <= cutoff`` and ``|f_x| <= cutoff``.
    Traced graphs (compiled, exported) hold matrix products and no complex numbers, and serve any size.

    Args:
        x: [B, C, H, W], floating point, H and W at least 1.
        cutoff: cycles per sample, 0-0.5. A frequency k/H or k/W equal to it is kept; 0.5 keeps everything.
        released: the mask of the published code instead, see :func:`~dealias.ops.spectrum.kept_band`, and the real
            part of the complex result.

    Returns:
        [B, C, H, W], dtype (under autocast too) and memory format of ``x``, computed in float32 at least.

    Raises:
        ValueError: ``x`` is not a floating map or the cut-off is out of range.

    >>> low_pass(torch.tensor([[[[3.0, 1.0, 3.0, 1.0]]]]), cutoff=0.25)
    tensor([[[[2., 2., 2., 2.]]]])
    """
    check_cutoff(cutoff, "low_pass")
    if x.ndim != 4 or not x.is_floating_point() or min(x.shape[-2:]) < 1:
        raise ValueError(
            f"low_pass: x must be floating [B, C, H, W], H and W at least 1, got {x.dtype} {tuple(x.shape)}"
        )
    device = x.device.type
    if device != "meta" and torch.is_autocast_enabled(device):
        with torch.autocast(device, enabled=False):
            return low_pass(x, cutoff, released)
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    dense = torch.compiler.is_compiling() or max(x.shape[-2:]) <= DENSE_LIMIT
    return (_project if dense else _transform)(wide, cutoff, released).to(x.dtype)


def _project(x: Tensor, cutoff: float, released: bool) -> Tensor:
    """Real part of ``P_h x P_w^T`` with ``P = A + iB`` and ``B^T = -B``: ``A_h x A_w + B_h x B_w``."""
    rows, columns = (projection(size, cutoff, released, x.device, x.dtype) for size in x.shape[-2:])
    if rows.imaginary is None or columns.imaginary is None:
        return _multiply(rows.real, x, columns.real)
    pairs = torch.stack([rows.real, rows.imaginary], dim=2).flatten(1)
    return _multiply(pairs, x, torch.cat([columns.real, columns.imaginary], dim=1))


def _multiply(rows: Tensor, x: Tensor, columns: Tensor) -> Tensor:
    """``rows @ x @ columns`` for every channel, in the memory format of ``x`` and without a copy of it.

    With ``columns`` [W, 2W] of two parts side by side, every row of the product in between holds two rows of W, which
    ``rows`` [H, 2H] takes as neighbours: the sum of two products for the memory traffic of little more than one.
    """
    batch, channels, _, width = x.shape
    if _memory_format(x) == torch.contiguous_format:
        return rows @ (x @ columns).reshape(batch, channels, rows.shape[1], width)
    across = columns.T @ x.permute(0, 2, 3, 1)
    out = rows @ across.reshape(batch, rows.shape[1], width * channels)
    return out.unflatten(2, (width, channels)).permute(0, 3, 1, 2)


def _transform(x: Tensor, cutoff: float, released: bool) -> Tensor:
    """By the spectrum's half of a real map; the real part of the result has the mask's even part as its mask."""
    height, width = x.shape[-2:]
    rows, columns = (axis_mask(size, cutoff, released, x.device).to(x.dtype) for size in (height, width))
    mask = torch.outer(rows, columns) + torch.outer(_opposite(rows), _opposite(columns))
    half = mask[:, : width // 2 + 1] / 2
    out = torch.fft.irfft2(torch.fft.rfft2(x) * half, s=(height, width))
    return out.contiguous(memory_format=_memory_format(x))


def _memory_format(x: Tensor) -> torch.memory_format:
    """Channels last only where the map is not contiguous as well."""
    last = not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _opposite(mask: Tensor) -> Tensor:
    """The mask of an axis at the frequencies of opposite sign."""
    return mask.flip(0).roll(1)
