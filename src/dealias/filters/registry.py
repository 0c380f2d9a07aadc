# SPDX-License-Identifier: Apache-2.0
"""Every prefilter by name, and building one."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from .adaptive_blur import AdaptiveBlur
from .base import Prefilter
from .blur import Blur
from .dealiasing import DeAliasingFilter
from .flc import FrequencyLowCut
from .identity import Identity

PREFILTERS: dict[str, type[Prefilter]] = {
    "none": Identity,
    "blur": Blur,
    "adaptive_blur": AdaptiveBlur,
    "flc": FrequencyLowCut,
    "daf": DeAliasingFilter,
}
"""Every prefilter by name."""


def list_prefilters() -> list[str]:
    """The names that :func:`create_prefilter` knows.

    >>> "daf" in list_prefilters()
    True
    """
    return list(PREFILTERS)


def create_prefilter(name: str, channels: int | None, stride: int = 2, **options: Any) -> Prefilter:
    """Build a prefilter by name; without options it is the paper's published configuration.

    Args:
        name: one of :func:`list_prefilters`.
        channels: channels of the map; ``None``, where the method has no weights, for any number.
        stride: step of the layer that follows, pixels.
        options: the method's own options, as in its class.

    Raises:
        ValueError: unknown name or option; the message lists the known ones.

    >>> create_prefilter("daf", 64, cutoff=0.35)
    DeAliasingFilter(64, stride=2, cutoff=0.35)
    """
    return prefilter_class(name, options)(channels, stride, **options)


def prefilter_class(prefilter: str | type[Prefilter], options: Iterable[str] = ()) -> type[Prefilter]:
    """The class of a prefilter by its name (a class is returned as it is), after a check that it has these options.

    Raises:
        ValueError: unknown name or option; the message lists the known ones.
    """
    if isinstance(prefilter, str) and prefilter not in PREFILTERS:
        raise ValueError(f"unknown prefilter {prefilter!r}; known: {', '.join(PREFILTERS)}")
    method = PREFILTERS[prefilter] if isinstance(prefilter, str) else prefilter
    accepted = [p for p in inspect.signature(method).parameters if p not in ("channels", "stride")]
    unknown = sorted(set(options) - set(accepted))
    if unknown:
        name = repr(prefilter) if isinstance(prefilter, str) else method.__name__
        options_text = ", ".join(accepted) or "none"
        raise ValueError(f"prefilter {name} has no option {', '.join(unknown)}; it accepts: {options_text}")
    return method
