# SPDX-License-Identifier: Apache-2.0
"""Published checkpoints as this library's networks: one module per published layout."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch import Tensor, nn

LAYOUTS: dict[str, str] = {"seg-aliasing": "seg_aliasing", "segnext": "segnext", "internimage": "internimage"}
"""The module of this package that knows a layout: it has ``load(state_dict, *, options) -> network``."""


def load_published(state_dict: Mapping[str, Any], layout: str = "seg-aliasing", **options: Any) -> nn.Module:
    """Build the network of a published checkpoint and load its weights, every one accounted for.

    Args:
        state_dict: what ``torch.load(path, weights_only=True)`` gives: tensors by their published keys, bare or under
            ``state_dict`` or ``model``, with or without the ``module.`` of parallel training.
        layout: one of :data:`LAYOUTS`.
        options: what the checkpoint does not tell, see the layout's function, such as
            :func:`dealias.compat.seg_aliasing.load`.

    Returns:
        The network, in evaluation mode, on the CPU.

    Raises:
        ValueError: unknown layout or option, or keys and shapes that do not fit; lists them by their published names.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}; known: {', '.join(LAYOUTS)}")
    load = import_module(f".{LAYOUTS[layout]}", __package__).load  # not before: networks need more than torch
    accepted = [p.name for p in inspect.signature(load).parameters.values() if p.kind is p.KEYWORD_ONLY]
    unknown = sorted(set(options) - set(accepted))
    if unknown:
        raise ValueError(f"layout {layout!r} has no option {', '.join(unknown)}; it accepts: {', '.join(accepted)}")
    return load(tensors(state_dict), **options)


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
