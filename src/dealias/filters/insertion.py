# SPDX-License-Identifier: Apache-2.0
"""Put a module before or after a layer in place: a child of the layer and a hook, so that no key of a network changes.

What is put in travels with the layer: copies, state dicts, devices, compiled and exported graphs have it. A layer has
room for one module before it (its child ``prefilter``) and one after it (its child ``mixer``).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

BEFORE, AFTER = "prefilter", "mixer"
"""The children's names: keys of their parameters are the layer's name, one of these, and their own."""


def insert_before(layer: nn.Module, prefilter: nn.Module, channels_last: bool = False) -> None:
    """Let ``layer`` see its first argument, a map [B, C, H, W], through ``prefilter``.

    Args:
        layer: any module but a container that runs all its children.
        prefilter: [B, C, H, W] to the same shape.
        channels_last: the layer's argument is [B, H, W, C].

    Raises:
        ValueError: the layer is a container, or has a prefilter.
    """
    check_room(layer, BEFORE)
    layer.add_module(BEFORE, prefilter)
    layer.register_forward_pre_hook(_filter_channels_last if channels_last else _filter)


def insert_after(layer: nn.Module, module: nn.Module) -> None:
    """Let ``module`` work on the output of ``layer``.

    Args:
        layer: any module but a container that runs all its children.
        module: takes what the layer returns.

    Raises:
        ValueError: the layer is a container, or has a module after it.
    """
    check_room(layer, AFTER)
    layer.add_module(AFTER, module)
    layer.register_forward_hook(_mix)


def remove_before(layer: nn.Module) -> bool:
    """Take out what :func:`insert_before` put in; False if there was nothing."""
    hooks = [key for key, hook in layer._forward_pre_hooks.items() if hook in (_filter, _filter_channels_last)]
    for key in hooks:
        del layer._forward_pre_hooks[key]
        delattr(layer, BEFORE)
    return bool(hooks)


def prefilter_of(layer: nn.Module) -> nn.Module | None:
    """What :func:`insert_before` has put before the layer."""
    if any(hook in (_filter, _filter_channels_last) for hook in layer._forward_pre_hooks.values()):
        return layer.get_submodule(BEFORE)
    return None


def check_room(layer: nn.Module, name: str) -> None:
    """Raise if nothing can be put into a layer as its child ``name``.

    Raises:
        ValueError: the layer is a container, or has such a child.
    """
    if isinstance(layer, (nn.Sequential, nn.ModuleList, nn.ModuleDict)):
        raise ValueError(f"a {type(layer).__name__} runs all its children; give the first or last of them instead")
    if name in dict(layer.named_children()):
        raise ValueError(f"this {type(layer).__name__} has a {name} already")


# functions of the module, not closures: a copied or unpickled layer calls its own child


def _filter(layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (layer.get_submodule(BEFORE)(args[0]), *args[1:])


def _filter_channels_last(layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    filtered = layer.get_submodule(BEFORE)(args[0].permute(0, 3, 1, 2))
    return (filtered.permute(0, 2, 3, 1), *args[1:])


def _mix(layer: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
    return layer.get_submodule(AFTER)(output)
