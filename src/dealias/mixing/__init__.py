# SPDX-License-Identifier: Apache-2.0
"""Mixers: balance the frequency bands of a map, same shape in and out; placed after a convolution, before its norm."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

from .freqmix import FreqMix

__all__ = ["MIXERS", "FreqMix", "create_mixer", "list_mixers"]

MIXERS: dict[str, type[nn.Module]] = {"freqmix": FreqMix}
"""Every mixer by name; a network without one is built with ``mixer=None``."""


def list_mixers() -> list[str]:
    """The names that :func:`create_mixer` knows.

    >>> list_mixers()
    ['freqmix']
    """
    return list(MIXERS)


def create_mixer(name: str, channels: int, **options: Any) -> nn.Module:
    """Build a mixer by name; without options it is the paper's published configuration.

    Args:
        name: one of :func:`list_mixers`.
        channels: channels of the map.
        options: the method's own options, as in its class.

    Raises:
        ValueError: unknown name or option; the message lists the known ones.

    >>> sum(p.numel() for p in create_mixer("freqmix", 128).parameters())
    6674
    """
    if name not in MIXERS:
        raise ValueError(f"unknown mixer {name!r}; known: {', '.join(MIXERS)}")
    method = MIXERS[name]
    accepted = [option for option in inspect.signature(method).parameters if option != "channels"]
    unknown = sorted(set(options) - set(accepted))
    if unknown:
        raise ValueError(f"mixer {name!r} has no option {', '.join(unknown)}; it accepts: {', '.join(accepted)}")
    return method(channels, **options)
