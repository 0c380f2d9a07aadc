# SPDX-License-Identifier: Apache-2.0
"""Modulation at the input of a layer, and the record of what it did, for those who undo it (SFM, arXiv:2507.11893)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor, nn

from dealias.filters.insertion import check_room
from dealias.modulation import Modulation
from dealias.ops.warp import Warp

CHILD = "modulation"
"""The child's name: keys of its parameters are the layer's name, this, and their own."""


class Resampling(NamedTuple):
    """What a modulation did to a map.

    Attributes:
        warp: from the map to its warped grid.
        attention: how densely each place of the map was sampled, [B, 1, H, W], positive, mean 1 per image.
    """

    warp: Warp
    attention: Tensor


class _Recorder(threading.local):
    """Where modulations write to; every thread, and so every call of a network, has its own."""

    tape: list[Resampling] | None = None


_recorder = _Recorder()


@contextmanager
def recording() -> Iterator[list[Resampling]]:
    """Collect what the modulations do that run inside, in their order.

    Nothing else keeps it: modules hold no tensors, and what runs outside, as a stage does that is computed once more
    for its gradients, writes nowhere.
    """
    tape: list[Resampling] = []
    outer, _recorder.tape = _recorder.tape, tape
    try:
        yield tape
    finally:
        _recorder.tape = outer


def insert_modulation(layer: nn.Module, modulation: nn.Module, channels_last: bool = False) -> None:
    """Let ``layer`` see its first argument, a map [B, C, H, W], modulated; a prefilter of the layer comes after that.

    Args:
        layer: any module but a container that runs all its children.
        modulation: [B, C, H, W] to a :class:`~dealias.modulation.Modulation` of that shape.
        channels_last: the layer's argument is [B, H, W, C].

    Raises:
        ValueError: the layer is a container, or is modulated.
    """
    check_room(layer, CHILD)
    layer.add_module(CHILD, modulation)
    layer.register_forward_pre_hook(_modulate_channels_last if channels_last else _modulate, prepend=True)


# functions of the module, not closures: a copied or unpickled layer calls its own child


def _modulate(layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (_run(layer, args[0]), *args[1:])


def _modulate_channels_last(layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (_run(layer, args[0].permute(0, 3, 1, 2)).permute(0, 2, 3, 1), *args[1:])


def _run(layer: nn.Module, x: Tensor) -> Tensor:
    modulated: Modulation = layer.get_submodule(CHILD)(x)
    if _recorder.tape is not None:
        _recorder.tape.append(Resampling(modulated.warp, modulated.attention))
    return modulated.features
