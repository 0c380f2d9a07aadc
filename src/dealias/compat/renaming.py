# SPDX-License-Identifier: Apache-2.0
"""Published weights into a network of this library: every key and shape accounted for, told by published names."""

from __future__ import annotations

import re
from collections.abc import Mapping

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


def load_renamed(network: nn.Module, weights: Mapping[str, Tensor], rules: Rules) -> None:
    """Load published weights into a network of this library.

    Batch counters may be missing, as in files of old versions of torch.

    Args:
        network: takes the weights.
        weights: tensors by their published names.
        rules: from own names to published ones.

    Raises:
        ValueError: missing, unexpected or misshapen weights; nothing is loaded.
    """
    own = network.state_dict()
    names = {published_name(key, rules): key for key in own}
    problems = [f"missing {name}" for name in names if name not in weights and not name.endswith("num_batches_tracked")]
    problems += [f"unexpected {name}" for name in weights if name not in names]
    problems += [
        f"{name} is {tuple(weights[name].shape)} instead of {tuple(own[key].shape)}"
        for name, key in names.items()
        if name in weights and weights[name].shape != own[key].shape
    ]
    if problems:
        shown = "; ".join(problems[:20]) + (f"; and {len(problems) - 20} more" if len(problems) > 20 else "")
        raise ValueError(f"the published weights do not fit: {shown}")
    network.load_state_dict({key: weights.get(name, own[key]) for name, key in names.items()})
