# SPDX-License-Identifier: Apache-2.0
"""Prefilters, mixers and modulations in an encoder, where the papers have them.

When Semantic Segmentation Meets Frequency Aliasing (ICLR 2024, arXiv:2403.09065): a filter at the input of every stage
but the first, a mixer in every block of these stages. Spatial Frequency Modulation (TPAMI 2025, arXiv:2507.11893):
adaptive resampling at the input of the same stages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch

from dealias.backbones import Stage
from dealias.filters.registry import prefilter_class
from dealias.mixing import create_mixer, list_mixers
from dealias.modulation import create_modulation, list_modulations

NONE = "none"


class Staged(Protocol):
    """A network that knows its stages."""

    def stages(self) -> list[Stage]:
        """The stages that lead to strides 8, 16 and 32."""


_RELEASED_PREFILTERS: dict[str, dict[str, Any]] = {
    "daf": {"cutoff": 0.35, "released": True},
    "adaptive_blur": {"released": True},
}
_RELEASED_MIXERS: dict[str, dict[str, Any]] = {"freqmix": {"released": True}}


def insert_prefilters(encoder: Staged, name: str | None, options: Mapping[str, Any], released: bool) -> None:
    """Put a prefilter at the input of every stage but the first that reduces the resolution.

    Args:
        encoder: has its stages.
        name: a prefilter's name; None for none.
        options: of the prefilter.
        released: as in the published networks, where ``options`` do not say otherwise.

    Raises:
        ValueError: unknown name or option, options without a prefilter, or stages that are not known.
    """
    if name is None or name == NONE:
        check_no_options("prefilter", options)
        return
    options = (_RELEASED_PREFILTERS.get(name, {}) if released else {}) | dict(options)
    method = prefilter_class(name, options)
    with own_random_numbers(0):
        for stage in reducing_stages(encoder):
            stage.insert_prefilter(method.before(stage.as_layer(), **options))


def insert_mixers(encoder: Staged, name: str | None, options: Mapping[str, Any], released: bool) -> None:
    """Put a mixer after the spatial convolution of every block of every stage but the first.

    Dilated stages are among them. Arguments and errors are those of :func:`insert_prefilters`.
    """
    if name is None or name == NONE:
        check_no_options("mixer", options)
        return
    if name not in list_mixers():
        raise ValueError(f"unknown mixer {name!r}; known: {', '.join((NONE, *list_mixers()))}")
    options = (_RELEASED_MIXERS.get(name, {}) if released else {}) | dict(options)
    with own_random_numbers(1):
        for stage in encoder.stages():
            stage.insert_mixers(lambda channels: create_mixer(name, channels, **options))


def reducing_stages(encoder: Staged) -> list[Stage]:
    """The stages of an encoder without those that dilate instead of striding."""
    return [stage for stage in encoder.stages() if stage.stride > 1]


def insert_modulations(encoder: Staged, name: str | None, options: Mapping[str, Any]) -> None:
    """Put a modulation at the input of every stage but the first that reduces the resolution (arXiv:2507.11893).

    What comes after it is on warped grids, up to the levels of the pyramid: see :mod:`dealias.models.demodulation`.

    Args:
        encoder: has its stages.
        name: a modulation's name; None for none.
        options: of the modulation.

    Raises:
        ValueError: unknown name or option, options without a modulation, or stages that are not known.
    """
    if name is None or name == NONE:
        check_no_options("modulation", options)
        return
    if name not in list_modulations():
        raise ValueError(f"unknown modulation {name!r}; known: {', '.join((NONE, *list_modulations()))}")
    with own_random_numbers(2):
        for stage in reducing_stages(encoder):
            stage.insert_modulation(create_modulation(name, stage.in_channels, **options))


def check_no_options(kind: str, options: Mapping[str, Any]) -> None:
    """Raise if there are options of something that there is not."""
    if options:
        raise ValueError(f"{kind}_options {dict(options)} need a {kind}")


@contextmanager
def own_random_numbers(stream: int) -> Iterator[None]:
    """Random numbers that follow from the state of torch's generator on the CPU and leave that state as it is.

    Args:
        stream: another one gives others: 0 for prefilters, 1 mixers, 2 modulations, 3 what undoes these.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(torch.randint(2**62, (), device="cpu")) + stream)
        yield
