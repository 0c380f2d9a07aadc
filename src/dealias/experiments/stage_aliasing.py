# SPDX-License-Identifier: Apache-2.0
"""Aliasing at the inputs of the stages of a trained network, as part of a comparison (arXiv:2403.09065)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from dealias.analysis import AliasingProbe
from dealias.backbones.timm_encoder import STRIDES
from dealias.data import evaluation_transform
from dealias.data.loading import Samples
from dealias.models import DetectionModel, SegmentationModel

SCORES = tuple(f"aliasing {stride}" for stride in STRIDES[1:])
"""Names of the scores, by the stride that a stage leads to."""

_MOST_IMAGES = 64


@torch.no_grad()
def stage_aliasing(
    network: SegmentationModel | DetectionModel,
    dataset: Samples,
    device: str,
    prepare: Callable[[Any], Any] | None = None,
) -> dict[str, float]:
    """Mean aliasing score at the input of every stage but the first, behind what is put in there.

    Args:
        network: in evaluation mode, on ``device``.
        dataset: up to 64 of its samples, evenly spaced, are measured.
        device: of the network.
        prepare: from a sample to what the network takes; ``None``: its image, normalised, as a batch.

    Returns:
        By :data:`SCORES`, those of dilated stages left out: the share, 0-1, of the input's power above the stage's own
        Nyquist frequency. Empty if the stages of the backbone are not known.
    """
    encoder: Any = network.encoder
    try:
        entries = {
            score: stage.entry for score, stage in zip(SCORES, encoder.stages(), strict=True) if stage.stride > 1
        }
    except ValueError:
        return {}
    names = {module: name for name, module in network.named_modules()}
    transform = evaluation_transform()
    prepare = prepare or (lambda sample: transform(sample)["image"][None].to(device))
    step = -(-len(dataset) // _MOST_IMAGES)
    with AliasingProbe(network, [names[entry] for entry in entries.values()]) as probe:
        for index in range(0, len(dataset), step):
            network(prepare(dataset[index]))
    by_layer = {layer.name: layer.score for layer in probe.compute()}
    return {score: by_layer[names[entry]] for score, entry in entries.items()}
