# SPDX-License-Identifier: Apache-2.0
"""Modulation: a map resampled before a stride so that its high frequencies fit, and brought back afterwards."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

from .ars import ARS, Modulation
from .attention import PyramidAttention
from .msau import MSAU

__all__ = [
    "ARS",
    "MODULATIONS",
    "MSAU",
    "Modulation",
    "PyramidAttention",
    "create_modulation",
    "list_modulations",
]

MODULATIONS: dict[str, type[nn.Module]] = {"ars": ARS}
"""Every modulation by name; a network without one is built with ``modulation=None``."""


def list_modulations() -> list[str]:
    """The names that :func:`create_modulation` knows.

    >>> list_modulations()
    ['ars']
    """
    return list(MODULATIONS)


def create_modulation(name: str, channels: int, **options: Any) -> nn.Module:
    """Build a modulation by name; without options it is the paper's published configuration.

    Args:
        name: one of :func:`list_modulations`.
        channels: channels of the map.
        options: the method's own options, as in its class.

    Raises:
        ValueError: unknown name or option; the message lists the known ones.

    >>> create_modulation("ars", 64).window
    11
    """
    if name not in MODULATIONS:
        raise ValueError(f"unknown modulation {name!r}; known: {', '.join(MODULATIONS)}")
    method = MODULATIONS[name]
    accepted = [option for option in inspect.signature(method).parameters if option != "channels"]
    unknown = sorted(set(options) - set(accepted))
    if unknown:
        raise ValueError(f"modulation {name!r} has no option {', '.join(unknown)}; it accepts: {', '.join(accepted)}")
    return method(channels, **options)
