# SPDX-License-Identifier: Apache-2.0
"""Which implementation computes an operator: ``use_backend``."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType, TracebackType
from typing import Any

BACKENDS = {
    "auto": "the fastest that fits: compiled CPU kernels where they are built, Triton kernels, plain torch elsewhere",
    "reference": "the definition in plain torch, by autograd",
    "torch": "plain torch with written-out gradients",
    "cpu": "the compiled CPU kernels",
    "triton": "the Triton kernels",
}
"""Names of :class:`use_backend`."""

_forced = ["auto"]


class use_backend:
    """Choose what computes the operators of this process, from the call on or within ``with``.

    Backends differ by rounding. ``"cpu"`` and ``"triton"`` are an error where a kernel does not fit, for example for
    float64; operators that have no such kernel run in plain torch.

    Args:
        name: a key of :data:`BACKENDS`.

    Raises:
        ValueError: an unknown backend, or kernels that cannot run here; says why.

    >>> with use_backend("reference"):
    ...     current_backend()
    'reference'
    >>> current_backend()
    'auto'
    """

    def __init__(self, name: str) -> None:
        if name not in BACKENDS:
            raise ValueError(f"unknown backend {name!r}; known: {', '.join(BACKENDS)}")
        reason = _absence(name)
        if reason is not None:
            raise ValueError(f"{BACKENDS[name]} cannot run: {reason}")
        self._before = _forced[0]
        _forced[0] = name

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _forced[0] = self._before


def current_backend() -> str:
    """The name last chosen by :class:`use_backend`."""
    return _forced[0]


def kernels_for(operator: str, kernels: Mapping[str, ModuleType], *arguments: Any) -> ModuleType | None:
    """The kernels that compute this call, None for plain torch.

    Args:
        operator: name for the error.
        kernels: modules by backend, in order of preference; ``refusal(*arguments)`` says why one cannot, None if it
            can.
        *arguments: what that depends on.

    Raises:
        ValueError: a backend was forced and cannot.
    """
    forced = current_backend()
    for name, module in kernels.items():
        if forced in ("auto", name):
            refusal = module.refusal(*arguments)
            if refusal is None:
                return module
            if forced == name:
                raise ValueError(f"{operator}: {BACKENDS[name]} cannot run: {refusal}")
    return None


def _absence(backend: str) -> str | None:
    """Why a backend is not there at all, None if it is."""
    if backend == "cpu":
        from dealias.kernels import kernel_status

        status = kernel_status()
        return None if status.active else status.reason
    if backend == "triton":
        from ._triton import unavailable

        return unavailable()
    return None
