# SPDX-License-Identifier: Apache-2.0
"""What ``create_*`` functions share: checks of their arguments, and the plain form in which these are stored."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from dealias.fusion import FusionFactory, create_fusion, list_fusions


def describe_fusion(fusion: str | FusionFactory) -> str:
    """A fusion's name; of a factory, the qualified name of what makes the fusions; of a partial, what it completes."""
    if isinstance(fusion, str):
        return fusion
    function = fusion.func if isinstance(fusion, partial) else fusion
    return f"{function.__module__}.{function.__qualname__}"


def fusion_factory(
    fusion: str | FusionFactory, options: Mapping[str, Any], create: Any = create_fusion
) -> FusionFactory:
    """The factory of a fusion that is given by name, with its options, or is one already.

    Args:
        fusion: a name from :func:`dealias.fusion.list_fusions`, or a factory.
        options: of the fusion of that name.
        create: makes a fusion from its name, both numbers of channels and options.

    Raises:
        ValueError: unknown name, or options of a factory.
    """
    if isinstance(fusion, str):
        if fusion not in list_fusions():
            raise ValueError(f"unknown fusion {fusion!r}; known: {', '.join(list_fusions())}")
        return partial(create, fusion, **options)
    if options:
        raise ValueError(f"fusion_options {dict(options)} need a fusion's name; give them to the factory itself")
    return fusion


def check_counts(arguments: Mapping[str, Any]) -> None:
    """Refuse numbers of channels or classes (by their names) below 1."""
    for name, value in arguments.items():
        if ("channels" in name or "classes" in name) and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def plain(name: str, value: Any) -> Any:
    """``value`` in types that YAML and JSON keep, so that the configuration can be stored."""
    if isinstance(value, Mapping):
        return {str(key): plain(f"{name}.{key}", item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(name, item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"{name} must be a plain value that can be stored with the network, got {value!r}")
