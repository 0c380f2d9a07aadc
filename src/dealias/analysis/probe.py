# SPDX-License-Identifier: Apache-2.0
"""Measure aliasing at every downsampling layer of a network while images pass through it (arXiv:2403.09065)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .layer_aliasing import LayerAliasing, Measurement, Totals, measure
from .reduction import ADAPTIVE, find_reduction, module_names
from .sampling_rate import window_of


class AliasingProbe:
    """Context manager that measures the input of every layer of a network that makes feature maps smaller.

    Within the context, run images through the network as usual, any number of batches, on any device, with or without
    autocast: the network and its results stay as they are. Each layer's input is scored at the layer's own limit, half
    its equivalent sampling rate, by :func:`dealias.analysis.aliasing_score`. What is kept is one number per image and
    layer, and sums of spectra.

    Layers are found by their type (strided convolutions, max, average and power-average pools) and by what is observed:
    a module whose output has half the height and width of its input, such as timm's ``BlurPool2d`` and ``PatchMerging``
    (maps [B, H, W, C]). Of modules within each other the innermost counts, and all modules within it must work on the
    smaller map, since otherwise its input is not what is sampled. Not found are functional pools amid other work of a
    module (its name is then in :attr:`unmeasured`), tokens [B, N, C], and pools to a fixed number of bins.

    The input is taken after all forward pre-hooks of the layer, whenever they were added: what a filter does that sits
    before a layer as a pre-hook is seen. If a layer is called several times in one run of the network, the mean over
    the calls counts for the image, as long as all calls have as many items as there are.

    Args:
        network: any module; the mode (training or evaluation) is the caller's.
        layers: names of modules to measure instead of all that are found. Any module that makes maps smaller may be
            named, also one that has others within it: a whole stage, whose kernel is taken to be its stride.

    Attributes:
        unmeasured: names of modules that made maps smaller by something that is no layer, in the order of first call.

    Raises:
        ValueError: the network has no module of a name in ``layers``, or is compiled.

    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2))
    >>> with AliasingProbe(network) as probe:
    ...     _ = network(torch.rand(2, 3, 32, 32))
    >>> [(layer.name, layer.nyquist, layer.images) for layer in probe.compute()]
    [('1', 0.25, 2)]
    """

    def __init__(self, network: nn.Module, layers: Sequence[str] | None = None) -> None:
        self.network = network
        self.unmeasured: list[str] = []
        self._names = module_names(network)
        _check_not_compiled(self._names)
        unknown = sorted({*layers} - {*self._names.values()}) if layers is not None else []
        if unknown:
            known = ", ".join(_declared(self._names)) or "none"
            raise ValueError(f"the network has no layers {', '.join(unknown)}; its downsampling layers: {known}")
        self._chosen = None if layers is None else set(layers)
        self._declared = list(layers) if layers is not None else _declared(self._names)
        self._totals: dict[str, Totals] = {}
        self._handles: list[RemovableHandle] = []
        self._running: list[_Call] = []
        self._pending: dict[str, list[Measurement]] = {}

    @property
    def layers(self) -> list[str]:
        """Names of the downsampling layers found so far, in the order of the network's modules."""
        found = {*self._declared, *self._totals}
        return [name for name in self._names.values() if name in found]

    @property
    def unused(self) -> list[str]:
        """Names of those that no image has passed, or that did not make its map smaller."""
        return [name for name in self.layers if name not in self._totals]

    @property
    def image_scores(self) -> dict[str, list[float]]:
        """By layer, the score of each image in the order in which they came."""
        return {name: list(totals.scores) for name, totals in self._totals.items()}

    def compute(self) -> list[LayerAliasing]:
        """What was measured so far at each layer, in the order in which the layers were first called."""
        return [totals.summary(name) for name, totals in self._totals.items()]

    def __enter__(self) -> Self:
        for module in self._names:
            self._handles += [
                module.register_forward_pre_hook(self._begin),
                module.register_forward_hook(self._end, with_kwargs=True, always_call=True),
            ]
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._running.clear()
        self._pending.clear()

    def _begin(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if module is self.network:  # what an interrupted run has left does not count
            self._running.clear()
            self._pending.clear()
        self._running.append(_Call(module))

    def _end(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        """Measure the call that ends here; the outermost one takes over what was measured within it."""
        if not self._running or self._running[-1].module is not module:
            return  # another hook raised before the call began
        call = self._running.pop()
        x = next((value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)), None)
        if x is not None and isinstance(output, Tensor) and x.ndim == output.ndim == 4 and x.numel():
            self._look_at(call, x, output)
        if self._running:
            self._running[-1].note(call, x)
        else:
            self._finish(is_complete=output is not None)

    def _look_at(self, call: _Call, x: Tensor, y: Tensor) -> None:
        reduction = find_reduction(call.module, x, y)
        if reduction is None:
            call.has_reduced |= isinstance(call.module, ADAPTIVE) or y.shape[2:].numel() == 1
            return
        name = self._names[call.module]
        is_exact = window_of(call.module) is not None or (not call.has_reduced and call.works_on(reduction.maps(y)))
        is_wanted = is_exact if self._chosen is None else name in self._chosen
        if is_wanted:
            self._pending.setdefault(name, []).append(measure(reduction, x))
        elif self._chosen is None and not call.has_reduced and name not in self.unmeasured:
            self.unmeasured.append(name)
        call.has_reduced = True

    def _finish(self, is_complete: bool) -> None:
        """Count what one run of the network has shown; a run that failed, which returns nothing, does not count."""
        if is_complete:
            for name, measurements in self._pending.items():
                self._totals.setdefault(name, Totals(measurements[0].reduction)).add(measurements)
        self._pending.clear()


@dataclass
class _Call:
    """A call of a module that has begun: whether maps became smaller in it, and on what its parts were called."""

    module: nn.Module
    has_reduced: bool = False
    shapes: list[torch.Size] = field(default_factory=list)

    def note(self, part: _Call, x: Tensor | None) -> None:
        """Remember a call within this one, that has ended."""
        self.has_reduced |= part.has_reduced
        if x is not None:
            self.shapes.append(x.shape)

    def works_on(self, y: Tensor) -> bool:
        """Whether all parts were called on maps or tokens of the size of ``y`` [B, C, H, W]."""
        height, width = y.shape[-2:]
        return all(
            (height, width) in (shape[1:3], shape[2:4]) or height * width in shape[1:-1] for shape in self.shapes
        )


def _check_not_compiled(names: Mapping[nn.Module, str]) -> None:
    """Raise if a module was compiled: what ``torch.compile`` made does not call hooks that are added to it.

    Raises:
        ValueError: names the module.
    """
    for module, name in names.items():
        # a wrapper of torch.compile, known by its name because importing its class takes seconds, or module.compile()
        if type(module).__name__ == "OptimizedModule" or module._compiled_call_impl is not None:
            raise ValueError(f"{name} is compiled and cannot be measured; give the network as it was before")


def _declared(names: Mapping[nn.Module, str]) -> list[str]:
    """The layers that have a stride, by their type."""
    windows = ((name, window_of(module)) for module, name in names.items())
    return [name for name, window in windows if window is not None and max(window.stride) > 1]
