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
        others: modules by part.

    Returns:
        ``fusion``, ``prefilter``, ``mixer`` and ``modulation`` (all within such modules, wherever they are), then
        ``others`` without those.
    """
    modules = list(network.modules())
    parts = {name: list(_unique(m for m in modules if isinstance(m, kinds))) for name, kinds in _KINDS.items()}
    inserted = {parameter for parameters in parts.values() for parameter in parameters}
    return parts | {name: [p for p in _unique(part) if p not in inserted] for name, part in others.items()}


def _unique(modules: Iterable[nn.Module]) -> dict[nn.Parameter, None]:
    return {parameter: None for module in modules for parameter in module.parameters()}
