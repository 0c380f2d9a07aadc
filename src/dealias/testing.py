# SPDX-License-Identifier: Apache-2.0
"""Checks that every operator and method of this library passes, for third-party ones too.

Each check raises ``AssertionError`` with what was found. Tolerances live in one table, :data:`TOLERANCES`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .fusion.base import Fusion, FusionFactory

TOLERANCES: dict[torch.dtype, float] = {
    torch.float64: 1e-9,
    torch.float32: 1e-5,
    torch.float16: 5e-3,
    torch.bfloat16: 4e-2,
}
"""Largest allowed difference, relative to the largest expected magnitude, by the lower of two precisions."""


def assert_close(actual: Tensor, expected: Tensor, dtype: torch.dtype | None = None) -> None:
    """Compare two tensors of one shape by the table of tolerances.

    Args:
        actual: any floating dtype.
        expected: the same shape.
        dtype: row of :data:`TOLERANCES`; by default the less precise of the two dtypes.

    Raises:
        AssertionError: shapes differ, a value is not finite where the other is, or the difference is too large.

    >>> assert_close(torch.ones(2), torch.ones(2, dtype=torch.float64) + 1e-7)
    """
    if actual.shape != expected.shape:
        raise AssertionError(f"shape {tuple(actual.shape)}, expected {tuple(expected.shape)}")
    if actual.numel() == 0:
        return
    row = dtype or max((actual.dtype, expected.dtype), key=lambda d: TOLERANCES[d])
    a, e = actual.detach().double(), expected.detach().double()
    error, largest = (a - e).abs().max().item(), e.abs().max().item()
    if not error <= TOLERANCES[row] * max(largest, 1e-30):
        raise AssertionError(
            f"largest difference {error:.3g} at magnitude {largest:.3g}: relative {error / max(largest, 1e-30):.3g}, "
            f"allowed {TOLERANCES[row]:.0e} ({row})"
        )


def check_op(op: Callable[..., Tensor], reference: Callable[..., Tensor], inputs: Sequence[Any]) -> None:
    """An operator equals its reference in value and in every gradient, passes gradcheck and keeps its dtype.

    Args:
        op: the public operator.
        reference: the same computation in plain differentiable torch, same arguments.
        inputs: arguments in order; floating tensors among them are converted and differentiated.

    Raises:
        AssertionError: a value, gradient or dtype differs.
    """
    for dtype in (torch.float64, torch.float32):
        ours, theirs = (_as_leaves(inputs, dtype) for _ in range(2))
        actual, expected = op(*ours), reference(*theirs)
        assert_close(actual, expected)
        cotangent = torch.randn(actual.shape, dtype=actual.dtype, generator=torch.Generator().manual_seed(0))
        for a, e in zip(_gradients(actual, ours, cotangent), _gradients(expected, theirs, cotangent), strict=True):
            assert_close(a, e)
    if not torch.autograd.gradcheck(op, tuple(_as_leaves(inputs, torch.float64))):
        raise AssertionError("gradcheck failed")


def check_fusion(factory: FusionFactory, hr_channels: int = 32, lr_channels: int = 32, normalised: bool = True) -> None:
    """A fusion keeps the contract of :class:`~dealias.fusion.Fusion`: all of :data:`FUSION_CHECKS`.

    Args:
        factory: ``(hr_channels, lr_channels) -> Fusion``.
        hr_channels: fine channels to test with.
        lr_channels: coarse channels to test with.
        normalised: its kernels sum to 1, so that a constant stays constant away from the border.

    Raises:
        AssertionError: a promise is broken; the traceback names the check.
    """
    for name, check in FUSION_CHECKS.items():
        if normalised or name != "constant":
            check(lambda: factory(hr_channels, lr_channels))


def _as_leaves(inputs: Sequence[Any], dtype: torch.dtype) -> list[Any]:
    return [
        value.to(dtype).detach().clone().requires_grad_() if isinstance(value, Tensor) else value for value in inputs
    ]


def _gradients(output: Tensor, inputs: Sequence[Any], cotangent: Tensor) -> tuple[Tensor, ...]:
    leaves = [value for value in inputs if isinstance(value, Tensor)]
    return torch.autograd.grad(output, leaves, cotangent)


def _maps(fusion: Fusion, size: tuple[int, int], lr_size: tuple[int, int], batch: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(size[0] * 100 + size[1])
    hr = torch.randn(batch, fusion.hr_channels, *size, generator=generator)
    return hr, torch.randn(batch, fusion.lr_channels, *lr_size, generator=generator)


def _check_sizes(make: Callable[[], Fusion]) -> None:
    """Even and odd sizes, ratio 2 rounded up and down, 1-pixel maps, batches of 1 and 2."""
    fusion = make().eval()
    sizes = [((8, 12), (4, 6)), ((27, 31), (14, 16)), ((27, 31), (13, 15)), ((1, 1), (1, 1)), ((1, 6), (1, 3))]
    for size, lr_size in sizes:
        for batch in (1, 2):
            hr, lr = _maps(fusion, size, lr_size, batch)
            hr_out, lr_up = fusion(hr, lr)
            assert_shape(hr_out, hr.shape)
            assert_shape(lr_up, (batch, fusion.lr_channels, *size))


def assert_shape(x: Tensor, shape: Sequence[int]) -> None:
    """Raise ``AssertionError`` unless ``x`` has this shape and only finite values."""
    if tuple(x.shape) != tuple(shape):
        raise AssertionError(f"shape {tuple(x.shape)}, expected {tuple(shape)}")
    if not x.isfinite().all():
        raise AssertionError(f"values that are not finite in a map of shape {tuple(x.shape)}")


def _check_gradients(make: Callable[[], Fusion]) -> None:
    """Both inputs and every parameter get finite gradients that are not all zero."""
    fusion = make()
    hr, lr = (x.requires_grad_() for x in _maps(fusion, (13, 10), (7, 5), batch=2))
    hr_out, lr_up = fusion(hr, lr)
    (hr_out.square().mean() + lr_up.square().mean()).backward()
    for name, leaf in (("hr", hr), ("lr", lr), *fusion.named_parameters()):
        if leaf.grad is None or not leaf.grad.isfinite().all() or not leaf.grad.any():
            raise AssertionError(f"{name} gets no finite gradient")


def _check_constant(make: Callable[[], Fusion]) -> None:
    """Constant maps stay constant away from the border."""
    fusion = make().eval()
    hr, lr = torch.ones(1, fusion.hr_channels, 48, 48), torch.full((1, fusion.lr_channels, 24, 24), 3.0)
    for out, value in zip(fusion(hr, lr), (1.0, 3.0), strict=True):
        inner = out[..., 16:32, 16:32]
        assert_close(inner, torch.full_like(inner, value))


def _check_precisions(make: Callable[[], Fusion]) -> None:
    """Half, single and double precision: dtype kept, values close to those in double precision."""
    fusion = make().eval()
    maps = _maps(fusion, (12, 10), (6, 5))
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        rounded = copy.deepcopy(fusion).to(dtype)
        exact = copy.deepcopy(rounded).double()
        inputs = [x.to(dtype) for x in maps]
        for actual, expected in zip(rounded(*inputs), exact(*(x.double() for x in inputs)), strict=True):
            if actual.dtype != dtype:
                raise AssertionError(f"{dtype} in, {actual.dtype} out")
            assert_close(actual, expected)


def _check_layouts(make: Callable[[], Fusion]) -> None:
    """Channels-last and strided inputs give the same values."""
    fusion = make().eval()
    maps = _maps(fusion, (12, 14), (6, 7))
    expected = fusion(*maps)
    strided = [x.repeat_interleave(2, dim=3)[..., ::2] for x in maps]
    for inputs in ([x.to(memory_format=torch.channels_last) for x in maps], strided):
        for a, e in zip(fusion(*inputs), expected, strict=True):
            assert_close(a, e)


def _check_state_dict(make: Callable[[], Fusion]) -> None:
    """The state dict carries everything: another instance that loads it gives the same values."""
    first, second = make().eval(), make().eval()
    second.load_state_dict(first.state_dict(), strict=True)
    maps = _maps(first, (12, 14), (6, 7))
    for a, e in zip(second(*maps), first(*maps), strict=True):
        if not torch.equal(a, e):
            raise AssertionError("loading the state dict does not reproduce the values")


def _check_compile(make: Callable[[], Fusion]) -> None:
    """One full graph for sizes that change, values and gradients as in eager mode."""
    fusion = make().eval()
    compiled = torch.compile(fusion, fullgraph=True, dynamic=True, backend="aot_eager")
    for size, lr_size in (((12, 14), (6, 7)), ((20, 18), (10, 9)), ((13, 15), (7, 8))):
        maps = [x.requires_grad_() for x in _maps(fusion, size, lr_size)]
        actual, expected = compiled(*maps), fusion(*maps)
        for a, e in zip(actual, expected, strict=True):
            assert_close(a, e)
        for a, e in zip(
            *(torch.autograd.grad(sum(o.sum() for o in out), maps) for out in (actual, expected)), strict=True
        ):
            assert_close(a, e)


def _check_export(make: Callable[[], Fusion]) -> None:
    """One exported graph for sizes that change, odd ones too."""
    fusion = make().eval()
    any_size = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    shapes = {"hr": any_size, "lr": any_size}
    exported = torch.export.export(fusion, _maps(fusion, (12, 16), (6, 8)), dynamic_shapes=shapes).module()
    for size, lr_size in (((12, 14), (6, 7)), ((27, 18), (14, 9)), ((27, 19), (13, 9))):
        maps = _maps(fusion, size, lr_size)
        for a, e in zip(exported(*maps), fusion(*maps), strict=True):
            assert_close(a, e)


def _check_errors(make: Callable[[], Fusion]) -> None:
    """Wrong ranks, batch sizes, channels and, for a fixed ratio, sizes raise ``ValueError``."""
    fusion = make()
    hr, lr = _maps(fusion, (12, 14), (6, 7))
    wrong = [(hr[0], lr), (hr, lr.repeat(2, 1, 1, 1)), (hr[:, 1:], lr), (hr, lr[:, 1:])]
    if fusion.factor is not None:
        wrong += [(hr, lr[..., :5]), (hr, lr[..., :4, :]), (hr[..., :2], lr)]
    for bad_hr, bad_lr in wrong:
        try:
            fusion(bad_hr, bad_lr)
        except ValueError:
            continue
        raise AssertionError(f"hr {tuple(bad_hr.shape)} and lr {tuple(bad_lr.shape)} were accepted")


FUSION_CHECKS: dict[str, Callable[[Callable[[], Fusion]], None]] = {
    "sizes": _check_sizes,
    "gradients": _check_gradients,
    "constant": _check_constant,
    "precisions": _check_precisions,
    "layouts": _check_layouts,
    "state_dict": _check_state_dict,
    "compile": _check_compile,
    "export": _check_export,
    "errors": _check_errors,
}
"""The promises of the interface by name; each check takes a function that makes a fresh fusion."""
