# SPDX-License-Identifier: Apache-2.0
"""Detection, instance and panoptic segmentation as a Lightning module: losses and scores around a built detector."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from dealias.models import DetectionModel
from dealias.train.base_task import NetworkTask
from dealias.train.object_scores import ObjectMetricSettings, ObjectScores, flat_scores
from dealias.train.object_targets import training_target
from dealias.train.optim import OptimizerSettings
from dealias.train.schedule import ScheduleSettings

_OPTIMIZER = OptimizerSettings("sgd", lr=0.02, weight_decay=1e-4, decay_vectors=True)
_SCHEDULE = ScheduleSettings("steps", warmup_steps=500)
_METRICS = ObjectMetricSettings()


class ObjectsTask(NetworkTask):
    """Train, validate, test and predict with a network that finds objects.

    Batches are dictionaries with ``image``, ``target`` and ``name``, lists: images [3, h, w] from 0 to 1 and targets
    with categories as labels, see :mod:`dealias.train.object_targets`. The loss is the sum of the network's. Logged
    are ``train/loss``, each of its terms by the network's name for it, ``train/lr``, ``train/seconds_per_step`` (data
    and optimiser included, validation not), and for ``val`` and ``test`` all scores without dimensions: ``box_AP``,
    ``mask_AP``, ``PQ`` and so on, see :func:`dealias.train.object_scores.flat_scores`. The best checkpoint is that of
    the highest ``PQ`` of a panoptic network, ``mask_AP`` of one with masks, ``box_AP`` otherwise. :attr:`scores` keeps
    the latest with those per class, :attr:`results` with the curves of precision.
    What a network draws at random depends on (seed, epoch, batch, process) alone, so that a resumed run equals an
    uninterrupted one.

    Args:
        network: a built network, for example dealias.models.create_detector.
        optimizer: optimiser and learning rates; the default is that of the usual schedules, of 16 images per step.
        schedule: course of the learning rate over the optimiser steps of the run; the default is the 1x schedule.
        metrics: how predictions are scored.
        seed: of what the network draws at random.
    """

    kind = "objects"

    def __init__(
        self,
        network: DetectionModel,
        optimizer: OptimizerSettings = _OPTIMIZER,
        schedule: ScheduleSettings = _SCHEDULE,
        metrics: ObjectMetricSettings = _METRICS,
        seed: int = 0,
    ) -> None:
        super().__init__(network, optimizer, schedule, seed)
        self.metric_settings = metrics
        counts = network.classes, network.stuff_classes, network.has_masks
        self.metrics = nn.ModuleDict({stage: ObjectScores(*counts, metrics) for stage in ("val", "test")})
        self.results: dict[str, dict[str, dict[str, Tensor]]] = {}

    @property
    def score(self) -> str:
        """The score whose best checkpoint is kept."""
        if self.network.stuff_classes:
            return "PQ"
        return "mask_AP" if self.network.has_masks else "box_AP"

    @property
    def classes(self) -> int:
        """Things and stuff."""
        return self.network.classes + self.network.stuff_classes

    def forward(self, images: Sequence[Tensor]) -> list[dict[str, Any]]:
        """What the network finds in each image [3, h, w] from 0 to 1, in its pixels."""
        return self.network(images)

    def describe_scores(self) -> dict[str, Any]:
        """Whether boundaries and edges are scored, and the band around edges."""
        return {"metrics": asdict(self.metric_settings)}

    def batch_loss(self, batch: dict[str, Any]) -> Tensor:
        """Sum of the losses of a batch."""
        counts = self.network.classes, self.network.stuff_classes
        losses = self.network(batch["image"], [training_target(target, *counts) for target in batch["target"]])
        self.log_dict({f"train/{name}": loss for name, loss in losses.items()})
        return torch.stack(list(losses.values())).sum()

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[dict[str, Any]]:
        """What the network finds in the images of a batch.

        Raises:
            ValueError: as :meth:`count`.
        """
        _check_sizes(batch)
        return self(batch["image"])

    def count(self, stage: str, batch: dict[str, Any]) -> None:
        """Count the predictions of a batch.

        Raises:
            ValueError: the evaluation transform has resized an image.
        """
        _check_sizes(batch)
        metrics: Any = self.metrics[stage]
        metrics.update(self(batch["image"]), batch["target"])

    def finish(self, stage: str) -> None:
        """Keep and log the scores."""
        metrics: Any = self.metrics[stage]
        self.results[stage] = metrics.compute()
        metrics.reset()
        self.log_scores(stage, flat_scores(self.results[stage]))


def _check_sizes(batch: dict[str, Any]) -> None:
    for name, image, target in zip(batch["name"], batch["image"], batch["target"], strict=True):
        size, expected = tuple(image.shape[1:]), tuple(target["masks"].shape[1:])
        if size != expected:
            raise ValueError(
                f"{name}: the network resizes images, the evaluation transform must not: {size} instead of {expected}"
            )
