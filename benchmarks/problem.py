# SPDX-License-Identifier: Apache-2.0
"""What is measured: one function in several forms; and what cases are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from dealias.kernels import kernel_status

OURS = "dealias"

TORCH = "plain torch"
"""Our own form without compiled kernels."""

Form = Callable[[], tuple[Tensor, ...]]
"""One way to compute the outputs of a problem."""


@dataclass(frozen=True)
class Problem:
    """The same function in several forms, :data:`OURS` first, and what its gradients are taken to and from.

    The cotangents, one per output, are uneven, so that no error averages out in the gradients.
    """

    inputs: tuple[Tensor, ...]
    forms: dict[str, Form]
    backward: bool = True
    """Whether gradients are compared and measured, too."""
    gradients_compared: bool = True
    """Whether the gate compares gradients: those of a deep network differ where rounding switches a rectifier."""
    plain: Problem | None = None
    """For a network: the same one, :data:`OURS`, without the parts measured. Timed along, compared with no form."""

    @cached_property
    def cotangents(self) -> tuple[Tensor, ...]:
        with torch.no_grad():
            outputs = self.forms[OURS]()
        return tuple(torch.linspace(-1, 1, output.numel()).reshape(output.shape).to(output) for output in outputs)


@dataclass(frozen=True)
class Case:
    area: str
    name: str
    build: Callable[[torch.device], Problem]


def on_inputs(function: Callable[..., Tensor], *inputs: Tensor) -> Form:
    return lambda: (function(*inputs),)


def with_and_without_kernels(ours: Form, device: torch.device) -> dict[str, Form]:
    """Our forms of an operator that has compiled kernels for the CPU; which run is up to :mod:`rows`."""
    return {OURS: ours, TORCH: ours} if device.type == "cpu" and kernel_status().active else {OURS: ours}


def random(device: torch.device, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape) + sum(shape))).to(device)


def smooth(x: Tensor, size: int) -> Tensor:
    """``x`` at another size, without detail."""
    return F.interpolate(x, size=(size, size), mode="bicubic", align_corners=False)
