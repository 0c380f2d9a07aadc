# SPDX-License-Identifier: Apache-2.0
"""Run images through a modulated network one by one, and measure what its modulations do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dealias.analysis import BoundaryRule, ModulationProbe, StageModulation
from dealias.backbones.modulation import CHILD
from dealias.inspection import Images, Size, Subject, preparation, run
from dealias.models.insertions import reducing_stages
from dealias.models.segmentation import SegmentationModel


@dataclass(frozen=True)
class ResamplingAnalysis:
    """What was measured.

    Attributes:
        rule: what lies along boundaries; ``None``: the images have no labels.
        stages: those with a modulation, in their order.
    """

    rule: BoundaryRule | None
    stages: Sequence[StageModulation]


@torch.inference_mode()
def measure_modulation(
    subject: Subject,
    images: Images,
    *,
    band: int | None = None,
    size: Size | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> ResamplingAnalysis:
    """Measure what the modulations of a network do.

    Args:
        subject: the network, on the device to compute on.
        images: what passes it, one after the other; labels, of whatever classes, are used if there are any.
        band: side in pixels of the square that widens boundaries of labels; ``None``: that of the loss.
        size: height and width that images and labels are resized to; ``None``: as the network needs it, or unchanged.
        on_progress: called after every image with the number of those done and of all.

    Raises:
        ValueError: a network without modulation, or one that cannot take an image; an even band.
    """
    strides = modulation_strides(subject)
    dataset = images.labelled
    width = BoundaryRule.band if band is None else band
    rule = None if dataset is None else BoundaryRule(dataset.ignore_index, width)
    probe = ModulationProbe(subject.network, strides, rule)
    transform = preparation(subject, size)
    for position in range(len(images)):
        sample = transform(images[position])
        with probe.measuring(None if rule is None else sample["mask"].as_subclass(Tensor)[None]):
            run(subject, sample)
        if on_progress is not None:
            on_progress(position + 1, len(images))
    return ResamplingAnalysis(rule, probe.compute())


def modulation_strides(subject: Subject) -> dict[str, int]:
    """By the name of each modulation of a network, in the order in which images pass them, the stride after it.

    Raises:
        ValueError: it has none.
    """
    network = subject.network
    names = {module: name for name, module in network.named_modules()}
    if isinstance(network, SegmentationModel) and any(name.endswith(f".{CHILD}") for name in names.values()):
        return {names[stage.entry.get_submodule(CHILD)]: stage.stride for stage in reducing_stages(network.encoder)}
    raise ValueError(
        f"{subject.name} has no modulation to analyse; train a segmentation network with one "
        '(dealias compare --modulation ars), or build it (--model with "modulation": "ars")'
    )
