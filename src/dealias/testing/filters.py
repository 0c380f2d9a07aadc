# SPDX-License-Identifier: Apache-2.0
"""What every prefilter promises: the contract of :class:`~dealias.filters.Prefilter`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..filters.base import Prefilter
from ..ops.spectrum import low_pass
from . import modules
from .tolerances import assert_close, assert_shape

_CHANNELS = 8
_MARGIN = 8


def check_prefilter(factory: Callable[[int, int], Prefilter], channels: int = 16, filters: bool = True) -> None:
    """A prefilter keeps the contract of :class:`~dealias.filters.Prefilter`: all of :data:`PREFILTER_CHECKS`.

    Args:
        factory: ``(channels, stride) -> Prefilter``.
        channels: channels to test with, at least 2.
        filters: it takes away what would fold, as all but the identity do.

    Raises:
        AssertionError: a promise is broken; the traceback names the check.
    """
    for name, check in PREFILTER_CHECKS.items():
        if filters or name != "stop_band":
            check(lambda: factory(channels, 2))


def _map(prefilter: Prefilter, size: tuple[int, int], batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(size[0] * 100 + size[1])
    return torch.randn(batch, prefilter.channels or _CHANNELS, *size, generator=generator)


def _check_sizes(make: Callable[[], Prefilter]) -> None:
    """Even and odd sizes, maps and borders of one and two pixels, batches of 0 to 2: same shape."""
    prefilter = make().eval()
    for size in ((8, 12), (13, 7), (2, 9), (1, 6), (2, 2), (1, 1)):
        for batch in (0, 1, 2):
            x = _map(prefilter, size, batch)
            assert_shape(prefilter(x), x.shape)


def _check_gradients(make: Callable[[], Prefilter]) -> None:
    """The input and every parameter get finite gradients that are not all zero."""
    prefilter = make()
    modules.check_gradients(prefilter, [_map(prefilter, (13, 10), batch=2)])


def _check_constant(make: Callable[[], Prefilter]) -> None:
    """A constant map stays constant away from the border."""
    prefilter = make().eval()
    x = torch.full_like(_map(prefilter, (24, 25)), 3.0)
    assert_close(_inside(prefilter(x)), _inside(x))


def _check_stop_band(make: Callable[[], Prefilter]) -> None:
    """Of white noise, less is left above the Nyquist frequency of the stride than there was."""
    prefilter = make().eval()
    x = _map(prefilter, (48, 48))
    after, before = (_power_that_folds(y, prefilter.stride) for y in (prefilter(x), x))
    if not after < 0.95 * before:
        raise AssertionError(
            f"power above 0.5/{prefilter.stride} cycles per sample: {before:.4g}, filtered {after:.4g}"
        )


def _check_shifts(make: Callable[[], Prefilter]) -> None:
    """A map shifted by the stride gives the shifted result, away from the border."""
    prefilter = make().eval()
    x = _map(prefilter, (30, 27))
    shift = prefilter.stride, prefilter.stride
    actual, expected = prefilter(x.roll(shift, (2, 3))), prefilter(x).roll(shift, (2, 3))
    assert_close(_inside(actual), _inside(expected))


def _check_precisions(make: Callable[[], Prefilter]) -> None:
    """Half, single and double precision: dtype kept, values close to those in double precision."""
    prefilter = make().eval()
    modules.check_precisions(prefilter, [_map(prefilter, (12, 9))])


def _check_layouts(make: Callable[[], Prefilter]) -> None:
    """Channels-last and strided inputs give the same values."""
    prefilter = make().eval()
    modules.check_layouts(prefilter, [_map(prefilter, (12, 14), batch=2)])


def _check_state_dict(make: Callable[[], Prefilter]) -> None:
    """The state dict carries what is trained, which it restores, and no fixed kernel."""
    prefilter = make()
    modules.check_state_dict(make, [_map(prefilter, (12, 14))])
    if prefilter.state_dict() and not list(prefilter.parameters()):
        raise AssertionError(f"nothing is trained, but the state dict has {', '.join(prefilter.state_dict())}")


def _check_compile(make: Callable[[], Prefilter]) -> None:
    """One full graph for sizes that change, values and gradients as in eager mode."""
    prefilter = make().eval()
    modules.check_compile(prefilter, [[_map(prefilter, size)] for size in ((12, 14), (20, 18), (13, 15))])


def _check_export(make: Callable[[], Prefilter]) -> None:
    """One exported graph without complex numbers for sizes that change, odd and small ones too."""
    prefilter = make().eval()
    sizes = ((12, 14), (20, 18), (13, 15), (2, 3))
    modules.check_export(prefilter, ("x",), [[_map(prefilter, size)] for size in sizes])


def _check_errors(make: Callable[[], Prefilter]) -> None:
    """Wrong ranks, channels and integers raise ``ValueError``."""
    prefilter = make()
    x = _map(prefilter, (6, 7))
    for wrong in (x[0], x[None], x.long(), *([] if prefilter.channels is None else [x[:, 1:]])):
        try:
            prefilter(wrong)
        except ValueError:
            continue
        raise AssertionError(f"{wrong.dtype} {tuple(wrong.shape)} was accepted")


def _inside(x: Tensor) -> Tensor:
    return x[..., _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]


def _power_that_folds(x: Tensor, stride: int) -> float:
    return (x - low_pass(x, 0.5 / stride)).square().mean().item()


PREFILTER_CHECKS: dict[str, Callable[[Callable[[], Prefilter]], None]] = {
    "sizes": _check_sizes,
    "gradients": _check_gradients,
    "constant": _check_constant,
    "stop_band": _check_stop_band,
    "shifts": _check_shifts,
    "precisions": _check_precisions,
    "layouts": _check_layouts,
    "state_dict": _check_state_dict,
    "compile": _check_compile,
    "export": _check_export,
    "errors": _check_errors,
}
"""The promises of the interface by name; each check takes a function that makes a fresh prefilter."""
