# SPDX-License-Identifier: Apache-2.0
"""Published names for a module's parts: state-dict keys as published, the code still reading its own names."""

from __future__ import annotations

from typing import Any

from torch import nn


def alias(published: str) -> Any:
    """A class attribute that reads the part registered under its published name."""
    return property(lambda self: getattr(self, published))


def publish_names(module: nn.Module, names: dict[str, str]) -> None:
    """Register sub-modules under their published names, in unchanged order.

    Args:
        module: its class has an :func:`alias` for every renamed part.
        names: own name -> published name.
    """
    parts = {names.get(own, own): part for own, part in module._modules.items()}
    module._modules.clear()
    module._modules.update(parts)
