# SPDX-License-Identifier: Apache-2.0
"""The device that a command is asked to work on."""

from __future__ import annotations

import torch


def choose_device(name: str) -> str:
    """The device called ``name``; for ``"auto"`` a GPU if there is one.

    Raises:
        ValueError: it is neither the CPU nor a GPU that torch finds.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"unknown device {name!r}: {str(error).splitlines()[0]}") from error
    if device.type != "cpu" and (device.type != "cuda" or (device.index or 0) >= torch.cuda.device_count()):
        raise ValueError(f"no device {name!r} here; known: auto, cpu and {torch.cuda.device_count()} CUDA devices")
    return name
