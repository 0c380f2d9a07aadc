# SPDX-License-Identifier: Apache-2.0
"""Content-aware reassembly as a registered operator: public function, gradients, fake kernels, autocast."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..backend import current_backend, kernels_for
from ..memory import in_format_of, new_map
from . import _cpu, _shifted, _triton
from .reference import reassemble_reference

KERNELS = {"cpu": _cpu, "triton": _triton}
"""By backend; of reassembly with normalised kernels, too."""


def reassemble(x: Tensor, weight: Tensor, groups: int = 1, scale: int = 1, dilation: int = 1) -> Tensor:
    """Sum each output pixel's k x k window of ``x`` with that pixel's own weights (CARAFE, arXiv:1905.02188, eq. 3).

    ``y[b, c, i, j] = sum_t weight[b, g*k*k + t, i, j] * x[b, c, i // scale + dy_t, j // scale + dx_t]`` with ``g = c //
    (C / groups)`` and the k x k window in row-major order, centred, ``dilation`` pixels from tap to tap. Outside the
    map ``x`` counts as 0, and the weights are not renormalised there.

    Args:
        x: features, [B, C, H, W], floating point.
        weight: one kernel per group and output pixel, [B, groups*k*k, H*scale, W*scale], k odd, dtype of ``x``; taken
            as it is (see :func:`~dealias.ops.kernel_normalize`).
        groups: channel groups with kernels of their own, contiguous blocks of C / groups channels.
        scale: integer ratio of output to input size.
        dilation: distance of neighbouring taps, pixels of ``x``, at least 1.

    Returns:
        [B, C, H*scale, W*scale], dtype of ``x`` (float32 under autocast) and its memory format;
        accumulated in float32 at least.

    Raises:
        ValueError: shapes, dtypes, groups, scale or dilation do not fit together.

    >>> mean = torch.full((1, 9, 4, 4), 1 / 9)
    >>> reassemble(torch.ones(1, 1, 2, 2), mean, scale=2)[0, 0, 0]
    tensor([0.4444, 0.4444, 0.4444, 0.4444])
    """
    check_reassemble(x, weight, groups, scale, dilation)
    if current_backend() == "reference":
        return reassemble_reference(x, weight, groups, scale, dilation)
    return _reassemble(x, weight, groups, scale, dilation)


def check_reassemble(x: Tensor, weight: Tensor, groups: int, scale: int, dilation: int) -> None:
    """Raise the errors of :func:`reassemble`."""
    if x.ndim != 4 or weight.ndim != 4:
        raise ValueError(
            f"reassemble: x and weight must be [B, C, H, W], got {tuple(x.shape)} and {tuple(weight.shape)}"
        )
    if scale < 1 or dilation < 1 or groups < 1 or x.shape[1] % groups:
        raise ValueError(
            f"reassemble: groups must divide the {x.shape[1]} channels, scale and dilation be positive; "
            f"got {groups}, {scale}, {dilation}"
        )
    taps = weight.shape[1] // groups
    kernel_size = round(taps**0.5)
    if taps * groups != weight.shape[1] or kernel_size**2 != taps or kernel_size % 2 == 0:
        raise ValueError(
            f"reassemble: weight must have groups*k*k channels, k odd; got {weight.shape[1]} for {groups} groups"
        )
    expected = (x.shape[0], weight.shape[1], x.shape[2] * scale, x.shape[3] * scale)
    if weight.shape != expected:
        raise ValueError(
            f"reassemble: x {tuple(x.shape)} at scale {scale} needs weight {tuple(expected)}, got {tuple(weight.shape)}"
        )
    if not x.is_floating_point() or not (x.dtype == weight.dtype or torch.is_autocast_enabled(x.device.type)):
        raise ValueError(f"reassemble: x and weight must have one floating dtype, got {x.dtype} and {weight.dtype}")


@torch.library.custom_op("dealias::reassemble", mutates_args=())
def _reassemble(x: Tensor, weight: Tensor, groups: int, scale: int, dilation: int = 1) -> Tensor:
    kernels = kernels_for("reassemble", KERNELS, x, weight, groups, scale) or _shifted
    return in_format_of(x, kernels.forward(x, weight, groups, scale, dilation))


@_reassemble.register_fake
def _(x: Tensor, weight: Tensor, groups: int, scale: int, dilation: int = 1) -> Tensor:
    return new_map(x, x.shape[0], x.shape[1], x.shape[2] * scale, x.shape[3] * scale)


@torch.library.custom_op("dealias::reassemble_backward", mutates_args=())
def _reassemble_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    groups: int,
    scale: int,
    need_x: bool,
    need_weight: bool,
    dilation: int = 1,
) -> tuple[Tensor, Tensor]:
    kernels = kernels_for("reassemble", KERNELS, x, weight, groups, scale) or _shifted
    grads = kernels.backward(grad, x, weight, groups, scale, need_x, need_weight, dilation)
    return gradients_in_format_of(x, grads, (need_x, need_weight))


@_reassemble_backward.register_fake
def _(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    groups: int,
    scale: int,
    need_x: bool,
    need_weight: bool,
    dilation: int = 1,
) -> tuple[Tensor, Tensor]:
    return empty_gradients(x, weight, need_x, need_weight)


def gradients_in_format_of(x: Tensor, grads: tuple[Tensor, Tensor], need: tuple[bool, bool]) -> tuple[Tensor, Tensor]:
    """Gradients to a map and to its kernels in the map's memory format; those not needed as they are."""
    grad_x, grad_weight = (in_format_of(x, g) if needed else g for g, needed in zip(grads, need, strict=True))
    return grad_x, grad_weight


def empty_gradients(x: Tensor, weight: Tensor, need_x: bool, need_weight: bool) -> tuple[Tensor, Tensor]:
    """What the gradients to a map and to its kernels look like."""
    grad_x = new_map(x, *x.shape) if need_x else x.new_empty(0)
    return grad_x, new_map(x, *weight.shape) if need_weight else x.new_empty(0)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, int, int, int], output: Tensor) -> None:
    x, weight, ctx.groups, ctx.scale, ctx.dilation = inputs
    ctx.save_for_backward(x, weight)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
    need_x, need_weight = ctx.needs_input_grad[:2]
    x, weight = ctx.saved_tensors
    grad_x, grad_weight = _reassemble_backward(
        grad, x, weight, ctx.groups, ctx.scale, need_x, need_weight, ctx.dilation
    )
    return grad_x if need_x else None, grad_weight if need_weight else None, None, None, None


_reassemble.register_autograd(_backward, setup_context=_save)
for _device in ("cpu", "cuda"):
    _reassemble.register_autocast(_device, torch.float32)
