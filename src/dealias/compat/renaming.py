# SPDX-License-Identifier: Apache-2.0
"""Published weights into a network of this library: every key and shape accounted for, told by published names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

Rules = Mapping[str, str]
"""Own names to published ones: patterns and replacements of :func:`re.sub`. The first pattern that is found counts."""


def published_name(key: str, rules: Rules) -> str:
    """The published name of a key of this library; the key itself where no rule matches."""
    for pattern, replacement in rules.items():
        renamed, matches = re.subn(pattern, replacement, key, count=1)
        if matches:
            return renamed
    return key


def shape_of(weights: Mapping[str, Tensor], key: str) -> torch.Size:
    """The shape of a published weight.

    Raises:
        ValueError: there is none of this name.
    """
    if key not in weights:
        raise ValueError(f"no checkpoint of this layout: {key} is missing")
    return weights[key].shape


def tensors(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint, bare or under a key, with or without the ``module.`` of parallel training.

    The key is ``state_dict``, or ``model`` as in files of classifiers.

    Raises:
        ValueError: there are none, or other things with them.
    """
    state = checkpoint.get("state_dict", checkpoint.get("model", checkpoint))
    strangers = [str(key) for key, value in state.items() if not isinstance(value, Tensor)]
    if strangers or not state:
        raise ValueError(f"the checkpoint must hold tensors by key, found {', '.join(strangers[:5]) or 'nothing'}")
    return {key.removeprefix("module."): value for key, value in state.items()}


class Matching(NamedTuple):
    """Published weights beside those of a network of this library, by their published names."""

    used: dict[str, str]
    """Own keys by the published names of what fits them."""

    missing: list[str]
    """What the network needs and the file does not have; batch counters may be missing, as in files of old torch."""

    unexpected: list[str]
    """What the network has no place for."""

    misshapen: dict[str, str]
    """What is of another shape, and both shapes."""

    def problems(self) -> list[str]:
        """All that does not fit."""
        return [
            *(f"missing {name}" for name in self.missing),
            *(f"unexpected {name}" for name in self.unexpected),
            *(f"{name} is {shapes}" for name, shapes in self.misshapen.items()),
        ]


def match(network: nn.Module, weights: Mapping[str, Tensor], rules: Rules, idle: Sequence[str] = ()) -> Matching:
    """Find the place of every published weight in a network of this library.

    Args:
        network: would take the weights.
        weights: tensors by their published names.
        rules: from own names to published ones.
        idle: beginnings of own keys that may stay as they are: nothing reads them.
    """
    own = network.state_dict()
    names = {published_name(key, rules): key for key in own}
    shapes = {name: (tuple(weights[name].shape), tuple(own[names[name]].shape)) for name in weights if name in names}
    return Matching(
        {name: names[name] for name, (found, expected) in shapes.items() if found == expected},
        [name for name, key in names.items() if name not in weights and not _may_be_missing(name, key, idle)],
        [name for name in weights if name not in names],
        {name: f"{found} instead of {needed}" for name, (found, needed) in shapes.items() if found != needed},
    )


def load_renamed(
    network: nn.Module, weights: Mapping[str, Tensor], rules: Rules, idle: Sequence[str] = (), partial: bool = False
) -> Matching:
    """Load published weights into a network of this library.

    Args:
        network: takes the weights.
        weights: tensors by their published names.
        rules: from own names to published ones.
        idle: as of :func:`match`.
        partial: load what fits, and leave the rest.

    Returns:
        What was found.

    Raises:
        ValueError: missing, unexpected or misshapen weights, unless ``partial``; nothing is loaded.
    """
    matching = match(network, weights, rules, idle)
    problems = matching.problems()
    if problems and not partial:
        shown = "; ".join(problems[:20]) + (f"; and {len(problems) - 20} more" if len(problems) > 20 else "")
        raise ValueError(f"the published weights do not fit: {shown}")
    network.load_state_dict({key: weights[name] for name, key in matching.used.items()}, strict=False)
    return matching


def _may_be_missing(name: str, key: str, idle: Sequence[str]) -> bool:
    return name.endswith("num_batches_tracked") or key.startswith(tuple(idle))
