# SPDX-License-Identifier: Apache-2.0
"""The parameters of a network by part, for learning rates of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import nn

from dealias.filters import Prefilter
from dealias.fusion import Fusion
from dealias.mixing import MIXERS
from dealias.modulation import MODULATIONS, MSAU

_KINDS: dict[str, tuple[type[nn.Module], ...]] = {
    "fusion": (Fusion,),
    "prefilter": (Prefilter,),
    "mixer": tuple(MIXERS.values()),
    "modulation": (*MODULATIONS.values(), MSAU),
}

NEW_KINDS = tuple(kind for kinds in _KINDS.values() for kind in kinds)
"""Modules that a published network of the same architecture does not have."""


def parameter_parts(network: nn.Module, others: Mapping[str, Iterable[nn.Module]]) -> dict[str, list[nn.Parameter]]:
    """Split the parameters of a network: each is in exactly one part.

    Args:
        network: the network.
        others: modules by part; of a parameter in two of them, the first has it.

    Returns:
        ``fusion``, ``prefilter``, ``mixer`` and ``modulation`` (all within such modules, wherever they are), then
        ``others`` without those.
    """
    inserted = {name: [m for m in network.modules() if isinstance(m, kinds)] for name, kinds in _KINDS.items()}
    parts: dict[str, list[nn.Parameter]] = {}
    taken: set[nn.Parameter] = set()
    for name, modules in (inserted | dict(others)).items():
        own = dict.fromkeys(parameter for module in modules for parameter in module.parameters())
        parts[name] = [parameter for parameter in own if parameter not in taken]
        taken.update(own)
    return parts
