# SPDX-License-Identifier: Apache-2.0
"""Which implementation computes an operator: ``use_backend``."""

from __future__ import annotations

from types import TracebackType

BACKENDS = {
    "auto": "the fastest that fits: compiled kernels where they are built, plain torch elsewhere",
    "reference": "the definition in plain torch, by autograd",
    "torch": "plain torch with written-out gradients",
    "cpu": "the compiled CPU kernels",
}
"""Names of :class:`use_backend`."""

_forced = ["auto"]


class use_backend:
    """Choose what computes the operators of this process, from the call on or within ``with``.

    Backends differ by rounding. ``"cpu"`` is an error where a kernel does not fit, for example for float64.

    Args:
        name: a key of :data:`BACKENDS`.

    Raises:
        ValueError: an unknown backend, or ``"cpu"`` without compiled kernels; says why they are not active.

    >>> with use_backend("reference"):
    ...     current_backend()
    'reference'
    >>> current_backend()
    'auto'
    """

    def __init__(self, name: str) -> None:
        if name not in BACKENDS:
            raise ValueError(f"unknown backend {name!r}; known: {', '.join(BACKENDS)}")
        if name == "cpu":
            from dealias.kernels import kernel_status

            status = kernel_status()
            if not status.active:
                raise ValueError(f"the compiled CPU kernels cannot run: {status.reason}")
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


def compiled_kernels_run(operator: str, refusal: str | None) -> bool:
    """Whether the compiled kernels compute this call.

    Args:
        operator: name for the error.
        refusal: why they cannot; None if they can.

    Raises:
        ValueError: they were forced and cannot.
    """
    backend = current_backend()
    if backend == "cpu" and refusal is not None:
        raise ValueError(f"{operator}: the compiled CPU kernels cannot run: {refusal}")
    return backend in ("auto", "cpu") and refusal is None
