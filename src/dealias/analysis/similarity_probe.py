# SPDX-License-Identifier: Apache-2.0
"""Measure at any layer or fusion of a network how well its features keep classes apart (arXiv:2408.12879)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

from .label_regions import RegionRule, Regions
from .layer_maps import LayerMaps, MapPair, check_names, watching
from .similarity import SimilarityTotals
from .similarity_measure import Measurement, measure
from .similarity_result import FeatureSimilarity


@dataclass(frozen=True)
class MapSimilarity:
    """One map of a layer.

    Attributes:
        layer: name of the module.
        map: ``coarse``, ``fine`` or ``sum`` of a fusion, ``output`` of another layer.
        channels: of the map.
        size: height and width of the map, of the last image.
        before: the fusion; ``None`` where nothing is before.
        after: it.
    """

    layer: str
    map: str
    channels: int
    size: tuple[int, int]
    before: FeatureSimilarity | None
    after: FeatureSimilarity


@dataclass(frozen=True)
class _Call:
    """What one call of a layer showed of a map [B, channels, *size]."""

    layer: str
    map: str
    channels: int
    size: tuple[int, int]
    before: list[Measurement] | None
    after: list[Measurement]


@dataclass
class _MapTotals:
    """Sums at one map, and its latest call."""

    call: _Call
    before: SimilarityTotals
    after: SimilarityTotals


class SimilarityProbe:
    """Measures :func:`dealias.analysis.feature_similarity` of maps in a network, over any number of batches.

    Of a fusion, the maps before and after it are measured as :func:`dealias.analysis.maps_of_call` takes them: what is
    before is what bilinear upsampling would give. Of any other layer its output is measured. Features are measured when
    the layer gives them and not kept: what is kept is a few numbers per class. The network and its results stay as they
    are. How images are batched makes no difference to what is measured of a feature. If a layer is called several times
    in one run, every call counts as an image.

    Args:
        network: any module; the mode (training or evaluation) is the caller's.
        layers: names of its modules.
        rule: how label maps are divided.

    Raises:
        ValueError: the network has no module of a name in ``layers``.

    >>> import torch
    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU())
    >>> probe = SimilarityProbe(network, ["1"])
    >>> with probe.measuring(torch.arange(32).div(16, rounding_mode="floor").expand(2, 32, 32)):
    ...     _ = network(torch.rand(2, 3, 32, 32))
    >>> [(found.layer, found.map, found.size, found.after.images) for found in probe.compute()]
    [('1', 'output', (16, 16), 2)]
    """

    def __init__(self, network: nn.Module, layers: Sequence[str], rule: RegionRule | None = None) -> None:
        check_names(network, layers)
        self.network = network
        self.layers = list(layers)
        self.rule = rule or RegionRule()
        self._totals: dict[tuple[str, str], _MapTotals] = {}

    @property
    def unused(self) -> list[str]:
        """Layers that no image has passed."""
        used = {layer for layer, _ in self._totals}
        return [layer for layer in self.layers if layer not in used]

    @contextmanager
    def measuring(self, labels: Tensor) -> Iterator[None]:
        """Within the context, run images [B, C, h, w] with these labels [B, H, W] through the network, once.

        If that fails, nothing of it counts.

        Raises:
            ValueError: labels of another type or shape.
            LayerError: a layer gives no maps, or maps of another number of images, or features that are not finite.
        """
        regions = self.rule.divide(labels)
        calls: list[_Call] = []

        def receive(layer: str, maps: LayerMaps) -> None:
            calls.extend(_look_at(layer, name, pair, regions) for name, pair in maps.items())

        with watching(self.network, self.layers, receive):
            yield
        for call in calls:
            self._add(call)

    def compute(self) -> list[MapSimilarity]:
        """What was measured so far, in the order in which the layers were first called."""
        return [
            MapSimilarity(
                layer,
                name,
                totals.call.channels,
                totals.call.size,
                None if totals.call.before is None else totals.before.compute(),
                totals.after.compute(),
            )
            for (layer, name), totals in self._totals.items()
        ]

    def _add(self, call: _Call) -> None:
        reach = self.rule.reach
        new = _MapTotals(call, SimilarityTotals(reach), SimilarityTotals(reach))
        totals = self._totals.setdefault((call.layer, call.map), new)
        totals.call = call
        totals.before.add(call.before or [])
        totals.after.add(call.after)


def _look_at(layer: str, name: str, pair: MapPair, regions: list[Regions]) -> _Call:
    _, channels, height, width = pair.after.shape
    before = None if pair.before is None else measure(pair.before, regions)
    return _Call(layer, name, channels, (height, width), before, measure(pair.after, regions))
