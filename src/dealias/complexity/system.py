# SPDX-License-Identifier: Apache-2.0
"""With what dealias runs here: versions, device, threads, and what computes its operators."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from dealias.kernels import kernel_status
from dealias.ops import _compiled, _triton
from dealias.ops.spectrum.op import DENSE_LIMIT
from dealias.train.run_directory import environment

from .flops import FORMULAS

_OF_A_RUN = ("seed", "command", "started")


@dataclass(frozen=True)
class Backend:
    """What computes an operator on a device, and why."""

    operator: str
    backend: str
    reason: str


def describe_system(device: str) -> dict[str, Any]:
    """Versions, device, threads and backends, in plain values.

    Args:
        device: what would compute: ``"cpu"``, ``"cuda"``, ...

    >>> describe_system("cpu")["device"]
    'cpu'
    """
    facts = {key: value for key, value in environment(device=device).items() if key not in _OF_A_RUN}
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    facts["instructions"] = torch.backends.cpu.get_cpu_capability()
    return {**facts, "gpus": gpus, "backends": [asdict(backend) for backend in active_backends(device)]}


def active_backends(device: str) -> list[Backend]:
    """What computes each operator of dealias.

    Args:
        device: where.
    """
    kind = torch.device(device).type
    rows = [_registered(name, kind) for name in FORMULAS]
    reason = f"a function of torch's own: matrix products up to {DENSE_LIMIT} px a side, above Fourier transforms"
    return [*rows, Backend("low_pass", "torch", reason)]


def _registered(name: str, kind: str) -> Backend:
    if kind == "cpu" and name in _compiled.OPERATORS:
        status = kernel_status()
        kernels, active, reason = "compiled kernels", status.active, status.reason
    elif kind == "cuda" and name in _triton.OPERATORS:
        absence = _triton.unavailable()
        kernels, active, reason = "Triton kernels", absence is None, absence or "compiled when first used"
    else:
        kernels, active, reason = "", False, f"there is no kernel of its own for {kind}"
    if not active:
        return Backend(name, "torch", reason)
    return Backend(name, kernels, f"{reason}; plain torch where they do not fit")
