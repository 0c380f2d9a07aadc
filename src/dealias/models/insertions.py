# SPDX-License-Identifier: Apache-2.0
"""Prefilters and mixers in an encoder, where "When Semantic Segmentation Meets Frequency Aliasing" has them.

ICLR 2024, arXiv:2403.09065: a filter at the input of every stage but the first, a mixer in every block of these stages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from dealias.backbones import Encoder
from dealias.filters.registry import prefilter_class
from dealias.mixing import create_mixer, list_mixers

NONE = "none"

_RELEASED_PREFILTERS: dict[str, dict[str, Any]] = {
    "daf": {"cutoff": 0.35, "released": True},
    "adaptive_blur": {"released": True},
}
_RELEASED_MIXERS: dict[str, dict[str, Any]] = {"freqmix": {"released": True}}


def insert_prefilters(encoder: Encoder, name: str | None, options: Mapping[str, Any], released: bool) -> None:
    """Put a prefilter at the input of every stage but the first.

    Args:
        encoder: has its stages.
        name: a prefilter's name; None for none.
        options: of the prefilter.
        released: as in the published networks, where ``options`` do not say otherwise.

    Raises:
        ValueError: unknown name or option, options without a prefilter, or stages that are not known.
    """
    if name is None or name == NONE:
        _check_no_options("prefilter", options)
        return
    options = (_RELEASED_PREFILTERS.get(name, {}) if released else {}) | dict(options)
    method = prefilter_class(name, options)
    with _own_random_numbers(0):
        for stage in encoder.stages():
            stage.insert_prefilter(method.before(stage.as_layer(), **options))


def insert_mixers(encoder: Encoder, name: str | None, options: Mapping[str, Any], released: bool) -> None:
    """Put a mixer after the spatial convolution of every block of every stage but the first.

    Arguments and errors are those of :func:`insert_prefilters`.
    """
    if name is None or name == NONE:
        _check_no_options("mixer", options)
        return
    if name not in list_mixers():
        raise ValueError(f"unknown mixer {name!r}; known: {', '.join((NONE, *list_mixers()))}")
    options = (_RELEASED_MIXERS.get(name, {}) if released else {}) | dict(options)
    with _own_random_numbers(1):
        for stage in encoder.stages():
            stage.insert_mixers(lambda channels: create_mixer(name, channels, **options))


def _check_no_options(kind: str, options: Mapping[str, Any]) -> None:
    if options:
        raise ValueError(f"{kind}_options {dict(options)} need a {kind}")


@contextmanager
def _own_random_numbers(stream: int) -> Iterator[None]:
    """Random numbers that follow from the state of torch's generator on the CPU and leave that state as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(torch.randint(2**62, (), device="cpu")) + stream)
        yield
