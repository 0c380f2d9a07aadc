# SPDX-License-Identifier: Apache-2.0
"""Prefilters put into any network in place, before its strided convolutions, pools and patch mergings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

from torch import nn

from .base import Prefilter
from .insertion import insert_before, prefilter_of, remove_before
from .registry import prefilter_class
from .strides import SamplingLayer, describe

Factory = Callable[[int | None, int], nn.Module]
"""``(channels or None, stride) -> prefilter``."""

Source = str | type[Prefilter] | Factory
"""Which prefilter: a name, a class or a factory."""

Where = str | Collection[str] | Callable[[str, nn.Module], bool] | None
"""Which layers: see :func:`antialias_`."""

_TWICE, _UNWANTED = "has a prefilter", "not chosen"


@dataclass(frozen=True)
class FilteredLayer:
    """A layer that was given a prefilter: its name in the network, what it does to the grid, the filter."""

    name: str
    layer: SamplingLayer
    prefilter: nn.Module


@dataclass(frozen=True)
class LeftLayer:
    """A layer that was left as it is: its name in the network, what it does to the grid, why."""

    name: str
    layer: SamplingLayer
    reason: str


@dataclass(frozen=True)
class AntialiasReport:
    """Every layer with a kernel and a stride, in the order of the network's modules; ``print`` shows a summary."""

    filtered: tuple[FilteredLayer, ...]
    left: tuple[LeftLayer, ...]

    def __str__(self) -> str:
        strided = [entry for entry in self.left if max(entry.layer.stride, default=1) > 1]
        others = Counter(entry.reason for entry in self.left if entry not in strided)
        return "\n".join(
            [
                f"filtered {len(self.filtered)}, left {len(self.left)}",
                *(f"filtered {entry.name}: {entry.layer}; {_in_one_line(entry.prefilter)}" for entry in self.filtered),
                *(f"left {entry.name}: {entry.layer}; {entry.reason}" for entry in strided),
                *(f"left {count} more; {reason}" for reason, count in others.items()),
            ]
        )


def antialias_(network: nn.Module, prefilter: Source = "daf", where: Where = None, **options: Any) -> AntialiasReport:
    """Put a prefilter before the layers of a network that reduce the resolution, in place.

    These are strided convolutions, strided pools and Swin's patch mergings (maps [B, H, W, C]). Each gets a filter of
    its own on its own input: both branches of a residual block are filtered, also a 1x1 shortcut of stride 2, which
    drops three samples of four. By default the first convolution of the network is left, because it reads the image.

    The network keeps its classes, keys and weights; filters with weights add ``<layer>.prefilter.*``. Do this before
    ``torch.compile``, distributed wrappers and the optimiser. A layer that has a prefilter is left, so that a second
    call changes nothing; :func:`remove_antialias_` takes the filters out.

    Steps without a module of their own are not found: ``F.max_pool2d``, ``F.interpolate`` or ``x[..., ::2]`` in a
    ``forward``. A filter before a max pool limits what goes in; the maximum is not linear and can alias again.

    Args:
        network: any torch module.
        prefilter: a name from :func:`~dealias.filters.list_prefilters`, a :class:`~dealias.filters.Prefilter` class, or
            a factory, called with the channels of a layer's input (None for pools, which take any number) and stride.
        where: None: all but the first convolution; ``"all"``: that one, too; names of layers: exactly these; a function
            ``(name, layer) -> bool``: those that it wants.
        options: options of the prefilter of that name or class. Without ``cutoff`` that of ``"daf"`` follows from each
            layer's kernel, stride and channels.

    Returns:
        Which layers were filtered, which were left, and why.

    Raises:
        ValueError: unknown prefilter, option or layer, a filter instead of what makes one, or a named layer that cannot
            be filtered; nothing is changed.

    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, stride=2))
    >>> print(antialias_(network))
    filtered 2, left 1
    filtered 1: max pool 2x2 stride 2x2; DeAliasingFilter(None, stride=2, cutoff=0.25)
    filtered 2: convolution 3x3 stride 2x2, 8 -> 16; DeAliasingFilter(8, stride=2, cutoff=0.3536)
    left 1 more; stride 1
    """
    make, refusal = _maker(prefilter, options), _refusal(where)
    layers = {name: (module, layer) for name, module in _outside_filters(network) if (layer := describe(module))}
    first = next((name for name, (_, layer) in layers.items() if layer.kind == "convolution"), None)
    filtered, left = [], []
    for name, (module, layer) in layers.items():
        reason = _TWICE if prefilter_of(module) is not None else layer.obstacle or refusal(name, module, name == first)
        made = reason or make(module, layer)
        if isinstance(made, str):
            left.append(LeftLayer(name, layer, made))
        else:
            filtered.append(FilteredLayer(name, layer, made))
    report = AntialiasReport(tuple(filtered), tuple(left))
    if isinstance(where, Collection) and where != "all":
        _check_names({where} if isinstance(where, str) else set(where), report)
    for entry in filtered:
        module, layer = layers[entry.name]
        insert_before(module, _beside(module, network, entry.prefilter), layer.channels_last)
    return report


def remove_antialias_(network: nn.Module) -> list[str]:
    """Take every prefilter out of a network, in place, whoever put it before a layer.

    Returns:
        The names of the layers that had one.
    """
    return [name for name, module in _outside_filters(network) if remove_before(module)]


def _in_one_line(prefilter: nn.Module) -> str:
    return f"{type(prefilter).__name__}({prefilter.extra_repr()})"


def _outside_filters(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Every module once, by name, but prefilters and their parts."""
    prefilters = [m if isinstance(m, Prefilter) else prefilter_of(m) for m in network.modules()]
    inside = {part for prefilter in prefilters if prefilter is not None for part in prefilter.modules()}
    return [(name, module) for name, module in network.named_modules() if module not in inside]


def _maker(prefilter: Source, options: Mapping[str, Any]) -> Callable[[nn.Module, SamplingLayer], nn.Module | str]:
    """What makes the prefilter of a layer, or says why there is none."""
    if isinstance(prefilter, str) or (isinstance(prefilter, type) and issubclass(prefilter, Prefilter)):
        method = prefilter_class(prefilter, options)
        return lambda module, layer: _before(method, module, layer, options)
    if isinstance(prefilter, nn.Module) or not callable(prefilter):
        raise ValueError(
            "prefilter must be a name, a class or a factory, since every layer gets a filter of its own; "
            f"got {prefilter!r}"
        )
    if options:
        raise ValueError(f"options {dict(options)} need a prefilter's name or class; give them to the factory itself")
    factory = cast(Factory, prefilter)
    return lambda module, layer: factory(layer.in_channels, layer.stride[0])


def _before(
    method: type[Prefilter], module: nn.Module, layer: SamplingLayer, options: Mapping[str, Any]
) -> nn.Module | str:
    if method.needs_channels and layer.in_channels is None:
        return f"{method.__name__} has weights, and this layer does not tell its channels"
    return method.before(module, **options)


def _refusal(where: Where) -> Callable[[str, nn.Module, bool], str | None]:
    """What says why a layer is not wanted (its name, itself, whether it is the network's first convolution)."""
    if where is None:
        return lambda name, module, first: "reads the image" if first else None
    if where == "all":
        return lambda name, module, first: None
    if callable(where):
        return lambda name, module, first: None if where(name, module) else _UNWANTED
    names = {where} if isinstance(where, str) else set(where)
    return lambda name, module, first: None if name in names else _UNWANTED


def _check_names(names: set[str], report: AntialiasReport) -> None:
    """Raise if a layer that was named is not filtered after all."""
    reasons = {entry.name: entry.reason for entry in report.left if entry.name in names and entry.reason != _TWICE}
    entries: list[FilteredLayer | LeftLayer] = [*report.filtered, *report.left]
    strangers = names - {entry.name for entry in entries}
    reasons |= dict.fromkeys(sorted(strangers), "no convolution, pool or patch merging of this network")
    if reasons:
        told = "; ".join(f"{name!r}: {reason}" for name, reason in reasons.items())
        possible = [entry.name for entry in entries if not entry.layer.obstacle]
        raise ValueError(f"no prefilter before {told}; layers that can have one: {', '.join(possible) or 'none'}")


def _beside(module: nn.Module, network: nn.Module, prefilter: nn.Module) -> nn.Module:
    """The prefilter where the layer's weights are (the network's, for a pool), of their dtype and in its mode."""
    for tensor in chain(module.parameters(), network.parameters()):
        if tensor.is_floating_point():
            prefilter.to(tensor.device, tensor.dtype)
            break
    return prefilter.train(module.training)
