# SPDX-License-Identifier: Apache-2.0
"""Floating-point operations of a forward pass, counted by torch's FlopCounterMode with formulas for our operators.

One multiply-add counts as two operations. What papers print as "FLOPs" is mostly the number of multiply-adds, half of
it. Only what works by multiply-adds is counted: convolutions, matrix products and attention (torch's formulas),
reassembly, similarities and bilinear sampling, here and in resizing. Norms, activations, softmax, pooling and sums
count as nothing, as in papers.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula

import dealias.ops  # noqa: F401  # registers the operators that the formulas are for

from .parts import Part, watching

Formula = Callable[..., int]
"""An operator's arguments, with shapes for tensors, and ``out_shape`` to its number of operations."""

_PER_MULTIPLY_ADD = 2
_BILINEAR_TAPS = 4


@dataclass(frozen=True)
class FlopCount:
    """Operations of a call.

    Attributes:
        parts: those of each part.
        operators: those of each operator in the whole call, by name, most first.
    """

    parts: dict[Part, int]
    operators: dict[str, int]


@functools.cache
def register_flop_formulas() -> None:
    """Let every ``FlopCounterMode`` of this process know the forward operators of dealias; again has no effect."""
    for name, formula in FORMULAS.items():
        register_flop_formula(getattr(torch.ops.dealias, name))(formula)


def count_flops(call: Callable[[], object], parts: Sequence[Part]) -> FlopCount:
    """Count the operations of a call without gradients.

    Args:
        call: runs the parts.
        parts: from outer to inner ones.
    """
    register_flop_formulas()
    counter = FlopCounterMode(display=False, custom_mapping=_foreign())
    counts = dict.fromkeys(parts, 0)

    @contextmanager
    def counted(part: Part) -> Iterator[None]:
        before = counter.get_total_flops()
        yield
        counts[part] += counter.get_total_flops() - before

    with torch.no_grad(), counter, watching(parts, counted):
        call()
    found = counter.get_flop_counts()["Global"].items()
    operators = {str(operator): count for operator, count in sorted(found, key=lambda item: -item[1]) if count}
    return FlopCount(counts, operators)


def _reassemble(
    x: torch.Size, weight: torch.Size, groups: int, scale: int, dilation: int = 1, *, out_shape: torch.Size
) -> int:
    """k*k multiply-adds for every value of the result."""
    return _PER_MULTIPLY_ADD * out_shape.numel() * (weight[1] // groups)


def _reassemble_softmax(
    x: torch.Size, logits: torch.Size, window: Any, kernel_size: int, *args: Any, out_shape: torch.Size
) -> int:
    """As :func:`_reassemble`; the softmax has none."""
    return _PER_MULTIPLY_ADD * out_shape.numel() * kernel_size**2


def _cross_similarity(query: torch.Size, key: torch.Size, kernel_size: int, scale: int, out_shape: torch.Size) -> int:
    """k*k inner products of C channels for every fine pixel."""
    return _PER_MULTIPLY_ADD * query.numel() * kernel_size**2


def _local_similarity(x: torch.Size, kernel_size: int, dilation: int, metric: str, out_shape: torch.Size) -> int:
    """k*k - 1 inner products of C channels for every pixel, by definition, and for cosines one for its norm."""
    products = kernel_size**2 - 1 + (metric == "cosine")
    return _PER_MULTIPLY_ADD * x.numel() * products


def _bilinear(*args: Any, out_shape: torch.Size, **options: Any) -> int:
    """Four multiply-adds for every value of the result; finding the points is not counted."""
    return _PER_MULTIPLY_ADD * _BILINEAR_TAPS * out_shape.numel()


def _deformable_aggregation(
    x: torch.Size, offsets: torch.Size, weights: torch.Size, *args: Any, out_shape: torch.Size
) -> int:
    """For every value of the result and tap a bilinear sample, and one multiply-add for its weight."""
    return _PER_MULTIPLY_ADD * (_BILINEAR_TAPS + 1) * out_shape.numel() * weights[2]


def _nothing(*args: Any, out_shape: torch.Size, **options: Any) -> int:
    """A softmax has no multiply-adds, and torch's formula of attention leaves its own out too; nor has a search."""
    return 0


def _real_to_spectrum(x: torch.Size, dim: Sequence[int], *args: Any, out_shape: torch.Size) -> int:
    return _fourier(x, dim)


def _spectrum_to_real(x: torch.Size, dim: Sequence[int], *args: Any, out_shape: torch.Size) -> int:
    return _fourier(out_shape, dim)


def _fourier(real: torch.Size, dim: Sequence[int]) -> int:
    """5/2 n log2(n) operations for a real transform of n values: what a radix-2 algorithm takes."""
    size = math.prod(real[axis] for axis in dim)
    return round(2.5 * real.numel() * math.log2(size))


FORMULAS: dict[str, Formula] = {
    "reassemble": _reassemble,
    "reassemble_softmax": _reassemble_softmax,
    "kernel_normalize": _nothing,
    "local_similarity": _local_similarity,
    "point_sample": _bilinear,
    "cross_similarity": _cross_similarity,
    "deformable_aggregation": _deformable_aggregation,
    "mesh_locate": _nothing,
}
"""Of the forward operators of dealias, by their names in ``torch.ops.dealias``."""


def _foreign() -> dict[Any, Formula]:
    """Operators that torch has no formula for; known to our counts only, so that nobody else's change."""
    aten = torch.ops.aten
    sampling: dict[Any, Formula] = dict.fromkeys((aten.upsample_bilinear2d, aten.grid_sampler_2d), _bilinear)
    return sampling | {aten._fft_r2c: _real_to_spectrum, aten._fft_c2r: _spectrum_to_real}
