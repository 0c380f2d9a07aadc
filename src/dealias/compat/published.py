# SPDX-License-Identifier: Apache-2.0
"""Published checkpoints as this library's networks: one module per published layout."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from .plan import Plan
from .renaming import tensors

LAYOUTS: dict[str, str] = {
    "seg-aliasing": "seg_aliasing",
    "segnext": "segnext",
    "internimage": "internimage",
    "mmdet": "mmdet",
    "mask2former": "mask2former",
    "module": "modules",
}
"""The module of this package that knows a layout: it has ``plan(state_dict, *, options)``, see :class:`.plan.Plan`."""


def load_published(state_dict: Mapping[str, Any], layout: str = "seg-aliasing", **options: Any) -> nn.Module:
    """Build the network of a published checkpoint and load its weights, every one accounted for.

    Args:
        state_dict: what ``torch.load(path, weights_only=True)`` gives: tensors by their published keys, bare or under
            ``state_dict`` or ``model``, with or without the ``module.`` of parallel training.
        layout: one of :data:`LAYOUTS`.
        options: what the checkpoint does not tell, see the layout's function, such as
            :func:`dealias.compat.seg_aliasing.plan`.

    Returns:
        The network, in evaluation mode, on the CPU; or the backbone, where the checkpoint is one.

    Raises:
        ValueError: unknown layout or option, or keys and shapes that do not fit; lists them by their published names.
    """
    found = plan_published(tensors(state_dict), layout, options)
    found.load()
    return found.module


def plan_published(weights: Mapping[str, Tensor], layout: str, options: Mapping[str, Any]) -> Plan:
    """Build the network of a published checkpoint and find the place of every tensor.

    Args:
        weights: tensors by their published names.
        layout: one of :data:`LAYOUTS`.
        options: as of :func:`load_published`.

    Raises:
        ValueError: unknown layout or option, or no checkpoint of this layout.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}; known: {', '.join(LAYOUTS)}")
    plan = import_module(f".{LAYOUTS[layout]}", __package__).plan  # not before: networks need more than torch
    accepted = [p.name for p in inspect.signature(plan).parameters.values() if p.kind is p.KEYWORD_ONLY]
    unknown = sorted(set(options) - set(accepted))
    if unknown:
        raise ValueError(f"layout {layout!r} has no option {', '.join(unknown)}; it accepts: {', '.join(accepted)}")
    return plan(weights, **options)
