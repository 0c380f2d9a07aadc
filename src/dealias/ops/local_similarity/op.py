# SPDX-License-Identifier: Apache-2.0
"""Local similarity as a registered operator: public function, gradient, fake kernels, autocast."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..backend import current_backend, kernels_for
from ..memory import in_format_of, new_map
from . import _cpu, _symmetric, _triton
from .reference import local_similarity_reference

_KERNELS = {"cpu": _cpu, "triton": _triton}


def local_similarity(x: Tensor, kernel_size: int = 3, dilation: int = 2, metric: str = "cosine") -> Tensor:
    """Similarity of every pixel to the other pixels of its dilated k x k window (FreqFusion, arXiv:2408.12879).

    Args:
        x: features, [B, C, H, W], floating point.
        kernel_size: k, odd.
        dilation: distance of neighbouring taps, pixels.
        metric: ``"cosine"``, in -1 to 1, norms at least 1e-8 so that a zero vector has similarity 0; or ``"dot"``.

    Returns:
        [B, k*k - 1, H, W], the window in row-major order without its centre, dtype of ``x`` (float32 under autocast)
        and its memory format. A neighbour outside the map counts as the zero vector: similarity 0.

    Raises:
        ValueError: rank, dtype, kernel size, dilation or metric are not as above.

    >>> local_similarity(torch.ones(1, 4, 1, 3), dilation=1)[0, 3]  # to the left neighbour
    tensor([[0., 1., 1.]])
    """
    if x.ndim != 4 or not x.is_floating_point():
        raise ValueError(f"local_similarity: x must be floating [B, C, H, W], got {x.dtype} {tuple(x.shape)}")
    if kernel_size < 1 or kernel_size % 2 == 0 or dilation < 1:
        raise ValueError(
            f"local_similarity: needs an odd kernel_size and dilation >= 1, got {kernel_size} and {dilation}"
        )
    if metric not in ("cosine", "dot"):
        raise ValueError(f"local_similarity: metric must be 'cosine' or 'dot', got {metric!r}")
    if current_backend() == "reference":
        return local_similarity_reference(x, kernel_size, dilation, metric)
    return _local_similarity(x, kernel_size, dilation, metric)


@torch.library.custom_op("dealias::local_similarity", mutates_args=())
def _local_similarity(x: Tensor, kernel_size: int, dilation: int, metric: str) -> Tensor:
    kernels = kernels_for("local_similarity", _KERNELS, x, kernel_size) or _symmetric
    return in_format_of(x, kernels.forward(x, kernel_size, dilation, metric))


@_local_similarity.register_fake
def _(x: Tensor, kernel_size: int, dilation: int, metric: str) -> Tensor:
    return new_map(x, x.shape[0], kernel_size**2 - 1, x.shape[2], x.shape[3])


@torch.library.custom_op("dealias::local_similarity_backward", mutates_args=())
def _local_similarity_backward(grad: Tensor, x: Tensor, kernel_size: int, dilation: int, metric: str) -> Tensor:
    kernels = kernels_for("local_similarity", _KERNELS, x, kernel_size) or _symmetric
    return in_format_of(x, kernels.backward(grad, x, kernel_size, dilation, metric))


@_local_similarity_backward.register_fake
def _(grad: Tensor, x: Tensor, kernel_size: int, dilation: int, metric: str) -> Tensor:
    return new_map(x, *x.shape)


def _save(ctx: Any, inputs: tuple[Tensor, int, int, str], output: Tensor) -> None:
    x, *ctx.options = inputs
    ctx.save_for_backward(x)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
    (x,) = ctx.saved_tensors
    return _local_similarity_backward(grad, x, *ctx.options), None, None, None


_local_similarity.register_autograd(_backward, setup_context=_save)
for _device in ("cpu", "cuda"):
    _local_similarity.register_autocast(_device, torch.float32)
