# SPDX-License-Identifier: Apache-2.0
"""The parts of a network, and what happens while they run: every measurement of a part is made here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from dealias.backbones import Encoder
from dealias.filters import Prefilter
from dealias.fusion import Fusion
from dealias.mixing import MIXERS
from dealias.models import SegmentationModel
from dealias.modulation import MODULATIONS

_INSERTED: dict[str, tuple[type[nn.Module], ...]] = {
    "prefilters": (Prefilter,),
    "mixers": tuple(MIXERS.values()),
    "modulations": tuple(MODULATIONS.values()),
}
_NEVER_CALLED = (nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True, eq=False)
class Part:
    """Modules of a network whose cost is added up.

    Attributes:
        name: what it is called.
        modules: the modules by their names in the network; none lies inside another one.
        level: 0 for the whole network; a part of level n + 1 lies inside the last part of level n before it.
    """

    name: str
    modules: dict[str, nn.Module]
    level: int = 0

    @property
    def parameters(self) -> int:
        """Number of parameters; one that is used twice counts once."""
        return sum(p.numel() for p in {p for module in self.modules.values() for p in module.parameters()})

    def tensors(self) -> Iterator[Tensor]:
        """All parameters and buffers."""
        for module in self.modules.values():
            yield from module.parameters()
            yield from module.buffers()


def find_parts(network: nn.Module) -> list[Part]:
    """The network, then its parts from outer to inner ones.

    A :class:`~dealias.models.SegmentationModel` has an encoder, with its stages where they are known, its prefilters,
    its mixers and its modulations; the demodulation of what these leave on warped grids; a decoder with its fusions;
    and an auxiliary head. Any other network has its children.

    >>> [part.name for part in find_parts(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()))]
    ['network', '0', '1']
    """
    whole = Part("network", {"": network})
    if not isinstance(network, SegmentationModel):
        return [whole, *(Part(name, {name: child}, 1) for name, child in network.named_children())]
    named = {module: name for name, module in network.named_modules()}
    parts = [whole, _part("encoder", [network.encoder], named, 1)]
    parts += [_part(name, modules, named, 2) for name, modules in _stages(network.encoder).items()]
    for name, kinds in _INSERTED.items():
        parts.append(_part(name, _outermost(network.encoder, kinds), named, 2))
    undoing = [module for module in (network.demodulation, network.msau) if module is not None]
    parts.append(_part("demodulation", undoing, named, 1))
    parts.append(_part("decoder", [network.decoder], named, 1))
    fusions = list(_outermost(network.decoder, (Fusion,)))
    parts.append(_part("fusions", fusions, named, 2))
    if len(fusions) > 1:
        parts += [_part(named[fusion].removeprefix("decoder."), [fusion], named, 3) for fusion in fusions]
    if network.auxiliary is not None:
        parts.append(_part("auxiliary", [network.auxiliary], named, 1))
    return [part for part in parts if part.modules]


@contextmanager
def watching(parts: Sequence[Part], region: Callable[[Part], AbstractContextManager[object]]) -> Iterator[None]:
    """Run every call of a part's modules inside ``region(part)``, with what other hooks of the module do.

    Args:
        parts: from outer to inner ones.
        region: makes what is entered before a call and left after it.
    """
    handles = [
        handle for part in parts for module in part.modules.values() for handle in _surround(module, part, region)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _surround(
    module: nn.Module, part: Part, region: Callable[[Part], AbstractContextManager[object]]
) -> tuple[RemovableHandle, RemovableHandle]:
    open_regions: list[AbstractContextManager[object]] = []

    def enter(module: nn.Module, args: Any) -> None:
        open_regions.append(region(part))
        open_regions[-1].__enter__()

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        open_regions.pop().__exit__(None, None, None)

    # of one module in two parts the inner one, hooked last, is entered first and left last, so regions stay nested
    before = module.register_forward_pre_hook(enter, prepend=True)
    return before, module.register_forward_hook(leave, always_call=True)


def _part(name: str, modules: Iterable[nn.Module], named: dict[nn.Module, str], level: int) -> Part:
    return Part(name, {named[module]: module for module in modules}, level)


def _stages(encoder: nn.Module) -> dict[str, list[nn.Module]]:
    """What leads to each level of the pyramid; nothing where the stages of the backbone are not known."""
    if not isinstance(encoder, Encoder):
        return {}
    try:
        stages = encoder.stages()
    except ValueError:
        return {}
    first, *others = encoder.strides
    later: dict[str, list[nn.Module]] = {}
    for stride, stage in zip(others, stages, strict=True):  # dilated stages belong to the one that strides last
        later.setdefault(f"to stride {stride}", []).extend(stage.modules)
    stem = _outside(encoder, {module for modules in later.values() for module in modules})
    return {f"to stride {first}": list(stem), **later}


def _outside(module: nn.Module, stages: set[nn.Module]) -> Iterator[nn.Module]:
    """The largest modules inside ``module`` that neither are nor have a stage."""
    for child in module.children():
        if child in stages:
            continue
        if stages.isdisjoint(child.modules()) and not isinstance(child, _NEVER_CALLED):
            yield child
        else:
            yield from _outside(child, stages)


def _outermost(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> Iterator[nn.Module]:
    """The modules of these kinds inside ``module``, without those inside another one."""
    for child in module.children():
        if isinstance(child, kinds):
            yield child
        else:
            yield from _outermost(child, kinds)
