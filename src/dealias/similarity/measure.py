# SPDX-License-Identifier: Apache-2.0
"""Run labelled images through a network one by one, and measure the features of its fusions or of other layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dealias.analysis import MapSimilarity, RegionRule, SimilarityProbe
from dealias.fusion import Fusion
from dealias.inspection import Images, Size, Subject, preparation, run
from dealias.models import DetectionModel


@dataclass(frozen=True)
class SimilarityAnalysis:
    """What was measured.

    Attributes:
        rule: how label maps were divided.
        maps: of each layer, in the order in which images pass these.
        unused: layers that no image passed.
    """

    rule: RegionRule
    maps: Sequence[MapSimilarity]
    unused: Sequence[str]


@torch.inference_mode()
def measure_similarity(
    subject: Subject,
    images: Images,
    *,
    layers: Sequence[str] | None = None,
    grid: Size | None = None,
    band: int | None = None,
    size: Size | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> SimilarityAnalysis:
    """Measure how well features keep the classes of the labels apart.

    Args:
        subject: the network, on the device to compute on.
        images: what passes it, one after the other; with labels, of whatever classes.
        layers: names of modules to measure; ``None``: all fusions.
        grid: height and width that labels and features are compared at; ``None``: those of the labels.
        band: side in pixels of the square that widens edges; ``None``: that of the paper.
        size: height and width that images and labels are resized to; ``None``: as the network needs it, or unchanged.
        on_progress: called after every image with the number of those done and of all.

    Raises:
        ValueError: images without labels, a network that finds objects, one without fusions or such layers, or one
            that cannot take an image; labels of which no class has both an interior and edges to another one.
    """
    if isinstance(subject.network, DetectionModel):
        raise ValueError(f"the similarity of features needs maps on the grid of the image; {subject.name} pads images")
    dataset = images.labelled
    if dataset is None:
        raise ValueError(f"the similarity of features needs labels, and {images.source} are images without")
    rule = RegionRule(dataset.ignore_index, grid, RegionRule.band if band is None else band)
    probe = SimilarityProbe(subject.network, fusion_names(subject) if layers is None else layers, rule)
    transform = preparation(subject, size)
    for position in range(len(images)):
        sample = transform(images[position])
        with probe.measuring(sample["mask"].as_subclass(Tensor)[None]):
            run(subject, sample)
        if on_progress is not None:
            on_progress(position + 1, len(images))
    maps = probe.compute()
    if not any(found.after.classes for found in maps):
        raise ValueError(
            f"nothing to compare: no image of {images.source} has two classes with an interior, outside of a band of "
            f"{rule.band} pixels around edges; try a finer --grid or a narrower --band"
        )
    return SimilarityAnalysis(rule, maps, probe.unused)


def fusion_names(subject: Subject) -> list[str]:
    """Names of the fusions of a network; of those within each other, the outer ones.

    Raises:
        ValueError: it has none.
    """
    names: list[str] = []
    for name, module in subject.network.named_modules():
        if isinstance(module, Fusion) and not any(name.startswith(f"{outer}.") for outer in names):
            names.append(name)
    if not names:
        parts = ", ".join(name for name, _ in _parts(subject.network)[:12])
        raise ValueError(f"{subject.name} has no fusions; name layers to measure with --layers, among them {parts}")
    return names


def _parts(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Its modules down to the second level."""
    return [(name, module) for name, module in network.named_modules() if name and name.count(".") < 2]
