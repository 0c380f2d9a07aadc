# SPDX-License-Identifier: Apache-2.0
"""Feature maps of the layers of a network while images pass through it; of a fusion, before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

MAPS = ("coarse", "fine", "sum", "output")
"""Maps of a fusion, and the one of any other layer."""


class LayerError(ValueError):
    """A layer gives something that cannot be measured; the message names the layer."""


@dataclass(frozen=True)
class MapPair:
    """A map [B, C, H, W] before a layer, ``None`` where there is none, and after it [B, C, H, W]."""

    before: Tensor | None
    after: Tensor


LayerMaps = dict[str, MapPair]
"""By a name in :data:`MAPS`."""


@contextmanager
def watching(network: nn.Module, layers: Sequence[str], receive: Callable[[str, LayerMaps], None]) -> Iterator[None]:
    """Within the context, hand over the maps of layers whenever these are called.

    Args:
        network: any module.
        layers: names of its modules.
        receive: called with the name of the layer and its maps, see :func:`maps_of_call`, on the device of the network.

    Raises:
        ValueError: the network has no module of such a name.
        LayerError: a layer gives no maps, or ``receive`` finds these wrong.
    """
    modules = dict(network.named_modules())
    check_names(network, layers)
    handles = [
        modules[name].register_forward_hook(partial(_hand_over, receive, name), with_kwargs=True) for name in layers
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def check_names(network: nn.Module, layers: Sequence[str]) -> None:
    """Check that a network has modules of these names.

    Raises:
        ValueError: it lacks one; names like it are listed.
    """
    known = [name for name, _ in network.named_modules() if name]
    for name in layers:
        if name not in known:
            close = ", ".join(get_close_matches(name, known, 5, 0.3)) or ", ".join(known[:5]) or "none"
            raise ValueError(f"the network has no module {name!r}; among its modules: {close}")


@torch.no_grad()
def feature_maps(network: nn.Module, images: Tensor, layers: Sequence[str]) -> dict[str, LayerMaps]:
    """Run images through a network and keep the maps of some layers.

    Args:
        network: any module; put it in evaluation mode before.
        images: its argument.
        layers: names of modules.

    Returns:
        By layer, in the order of the first calls; of a layer that is called several times, the first call.

    Raises:
        ValueError: as :func:`watching`.
    """
    found: dict[str, LayerMaps] = {}

    def keep(name: str, maps: LayerMaps) -> None:
        found.setdefault(name, maps)

    with watching(network, layers, keep):
        network(images)
    return found


def maps_of_call(name: str, args: Sequence[Any], kwargs: dict[str, Any], output: Any) -> LayerMaps:
    """The maps of one call of a layer.

    Of a fusion ``(hr, lr) -> (hr', lr_up)``: ``coarse``, lr resized bilinearly to the size of hr, and lr_up; ``fine``,
    hr and hr'; and, if both have as many channels, ``sum``, of the two before and of the two after. What is before is
    thus what bilinear upsampling would give. Of any other layer: ``output``, its output, with nothing before.

    Args:
        name: of the layer.
        args: what it was called with.
        kwargs: likewise.
        output: what it gave.

    Raises:
        LayerError: it gave no map [B, C, H, W], nor what a fusion gives.
    """
    if isinstance(output, Tensor) and output.ndim == 4:
        return {"output": MapPair(None, output)}
    found = _fusion_call(args, kwargs, output)
    if found is None:
        raise LayerError(f"{name} gives {_describe(output)}; expected a map [B, C, H, W], or (hr', lr_up) of a fusion")
    hr, lr, fine_after, coarse_after = found
    coarse = functional.interpolate(lr, hr.shape[-2:], mode="bilinear", align_corners=False)
    maps = {"coarse": MapPair(coarse, coarse_after), "fine": MapPair(hr, fine_after)}
    if hr.shape[1] == lr.shape[1]:
        maps["sum"] = MapPair(hr + coarse, fine_after + coarse_after)
    return maps


def _hand_over(
    receive: Callable[[str, LayerMaps], None],
    name: str,
    layer: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    output: Any,
) -> None:
    with torch.no_grad():
        maps = maps_of_call(name, args, kwargs, output)
        try:
            receive(name, maps)
        except ValueError as error:
            raise LayerError(f"{name}: {error}") from error


def _fusion_call(
    args: Sequence[Any], kwargs: dict[str, Any], output: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """hr, lr, hr' and lr_up, if it was the call of a fusion."""
    given = dict(zip(("hr", "lr"), args, strict=False)) | kwargs
    if not isinstance(output, (tuple, list)) or len(output) != 2:
        return None
    named = (given.get("hr"), given.get("lr"), *output)
    maps = [each for each in named if isinstance(each, Tensor) and each.ndim == 4]
    if len(maps) != 4 or maps[2].shape != maps[0].shape or maps[3].shape[1:] != (maps[1].shape[1], *maps[0].shape[2:]):
        return None
    return maps[0], maps[1], maps[2], maps[3]


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    if isinstance(value, (tuple, list)):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__
