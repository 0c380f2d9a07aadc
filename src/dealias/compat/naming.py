# SPDX-License-Identifier: Apache-2.0
"""Published names for a module's parts: state-dict keys as published, the code still reading its own names."""

from __future__ import annotations

from typing import Any

from torch import nn


def alias(published: str) -> Any:
    """A class attribute that reads the part registered under its published name, a path with dots."""
    path = published.split(".")

    def read(module: nn.Module) -> Any:  # a plain function: dynamo cannot trace operator.attrgetter
        part: Any = module
        for name in path:
            part = getattr(part, name)
        return part

    return property(read)


def publish_names(module: nn.Module, names: dict[str, str]) -> None:
    """Register sub-modules under their published names, in unchanged order.

    Args:
        module: its class has an :func:`alias` for every renamed part.
        names: own name -> published name; a path with dots goes through empty modules.
    """
    parts = [(names.get(own, own), part) for own, part in module._modules.items()]
    module._modules.clear()
    for path, part in parts:
        *parents, last = path.split(".")
        holder = module
        for parent in parents:
            if parent not in holder._modules:
                holder._modules[parent] = nn.Module()
            holder = holder.get_submodule(parent)
        holder._modules[last] = part
