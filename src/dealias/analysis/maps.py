# SPDX-License-Identifier: Apache-2.0
"""Where in an image the power is that a layer of a network cannot keep."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .reduction import find_reduction, module_names
from .score import aliasing_map


@torch.no_grad()
def aliasing_maps(network: nn.Module, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
    """Run images through a network, and map the power above the limit of some layers at the inputs of these.

    Args:
        network: any module; put it in evaluation mode before.
        images: its argument.
        layers: names of modules that :class:`dealias.analysis.AliasingProbe` has found.

    Returns:
        By layer, :func:`dealias.analysis.aliasing_map` [B, h, w] at the size of the layer's input, on the CPU; of a
        layer that is called several times, of the first call. Layers that make no map smaller are left out.

    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(2))
    >>> aliasing_maps(network, torch.rand(2, 3, 32, 48), ["1"])["1"].shape
    torch.Size([2, 32, 48])
    """
    found: dict[str, Tensor] = {}
    modules = {name: module for module, name in module_names(network).items()}
    handles = [modules[name].register_forward_hook(partial(_keep, found, name), with_kwargs=True) for name in layers]
    try:
        network(images)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _keep(
    found: dict[str, Tensor], name: str, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor
) -> None:
    x: Tensor = next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
    reduction = find_reduction(layer, x, output)
    if reduction is not None and name not in found:
        with torch.autocast(x.device.type, enabled=False):
            found[name] = aliasing_map(reduction.maps(x), reduction.nyquist).cpu()
