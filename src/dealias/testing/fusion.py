# SPDX-License-Identifier: Apache-2.0
"""What every fusion promises: the contract of :class:`~dealias.fusion.Fusion`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..fusion.base import Fusion, FusionFactory
from . import modules
from .tolerances import assert_close, assert_shape


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


def _check_gradients(make: Callable[[], Fusion]) -> None:
    """Both inputs and every parameter get finite gradients that are not all zero."""
    fusion = make()
    modules.check_gradients(fusion, _maps(fusion, (13, 10), (7, 5), batch=2))


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
    modules.check_precisions(fusion, _maps(fusion, (12, 10), (6, 5)))


def _check_layouts(make: Callable[[], Fusion]) -> None:
    """Channels-last and strided inputs give the same values."""
    fusion = make().eval()
    modules.check_layouts(fusion, _maps(fusion, (12, 14), (6, 7)))


def _check_state_dict(make: Callable[[], Fusion]) -> None:
    """The state dict carries everything: another instance that loads it gives the same values."""
    modules.check_state_dict(make, _maps(make(), (12, 14), (6, 7)))


def _check_compile(make: Callable[[], Fusion]) -> None:
    """One full graph for sizes that change, values and gradients as in eager mode."""
    fusion = make().eval()
    sizes = [((12, 14), (6, 7)), ((20, 18), (10, 9)), ((13, 15), (7, 8))]
    modules.check_compile(fusion, [_maps(fusion, *pair) for pair in sizes])


def _check_export(make: Callable[[], Fusion]) -> None:
    """One exported graph for sizes that change, odd ones too."""
    fusion = make().eval()
    sizes = [((12, 16), (6, 8)), ((12, 14), (6, 7)), ((27, 18), (14, 9)), ((27, 19), (13, 9))]
    modules.check_export(fusion, ("hr", "lr"), [_maps(fusion, *pair) for pair in sizes])


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
