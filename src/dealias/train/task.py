# SPDX-License-Identifier: Apache-2.0
"""Semantic segmentation as a Lightning module: loss, optimiser, schedule and scores around a built network."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import Tensor

from dealias.losses import SegmentationLoss, SemanticHighFrequencyLoss
from dealias.metrics import SegmentationMetrics
from dealias.models import SegmentationModel
from dealias.train.base_task import NetworkTask
from dealias.train.image_scores import ImageScorer, Rows
from dealias.train.inference import InferenceSettings, label_maps, predict_logits
from dealias.train.optim import OptimizerSettings
from dealias.train.schedule import ScheduleSettings


@dataclass(frozen=True)
class MetricSettings:
    """How predictions are scored, see :class:`dealias.metrics.SegmentationMetrics`.

    Args:
        edges: exact, or released to compare with published tables.
        width: width in pixels of the band around edges, odd.
    """

    edges: Literal["exact", "released"] = "exact"
    width: int = 15


_OPTIMIZER = OptimizerSettings()
_SCHEDULE = ScheduleSettings()
_INFERENCE = InferenceSettings()
_METRICS = MetricSettings()


class SegmentationTask(NetworkTask):
    """Train, validate, test and predict with a segmentation network.

    Batches are dictionaries with ``image`` [B, C, H, W], ``mask`` [B, H, W] and ``name``. Logged are ``train/loss``,
    ``train/high_frequency_loss`` (if it counts, without its weight), ``train/lr``, ``train/seconds_per_step`` (data and
    optimiser included, validation not), and for ``val`` and ``test`` all scores without dimensions. :attr:`scores`
    keeps the latest with those per class, :attr:`image_scores` those of every image, :attr:`step_seconds` all times.
    What a network draws at random, as dropout, depends on (seed, epoch, batch, process) alone, so that a resumed run
    equals an uninterrupted one.

    Args:
        network: a built network, for example dealias.models.create_model.
        loss: null for cross entropy, with 0.4 times that of the auxiliary head.
        optimizer: optimiser and learning rates.
        schedule: course of the learning rate over the optimiser steps of the run.
        inference: how images are predicted in validation, test and prediction.
        metrics: how predictions are scored.
        seed: of what the network draws at random.
        high_frequency_weight: factor of the loss that wants the attention of a modulated network at the edges of the
            labels, see dealias.losses.SemanticHighFrequencyLoss; 100 in the published recipes.

    Raises:
        ValueError: that factor is negative, or the network has no modulation for it.
    """

    kind = "segmentation"
    score = "mIoU"
    network_methods = ("forward_train",)

    def __init__(
        self,
        network: SegmentationModel,
        loss: SegmentationLoss | None = None,
        optimizer: OptimizerSettings = _OPTIMIZER,
        schedule: ScheduleSettings = _SCHEDULE,
        inference: InferenceSettings = _INFERENCE,
        metrics: MetricSettings = _METRICS,
        seed: int = 0,
        high_frequency_weight: float = 0.0,
    ) -> None:
        super().__init__(network, optimizer, schedule, seed)
        if high_frequency_weight < 0:
            raise ValueError(f"high_frequency_weight must not be negative, got {high_frequency_weight}")
        if high_frequency_weight and not network.parameter_parts()["modulation"]:
            raise ValueError(f"a high_frequency_weight, got {high_frequency_weight}, needs a network with modulation")
        self.loss = SegmentationLoss() if loss is None else loss
        self.high_frequency_weight = high_frequency_weight
        self.high_frequency_loss = SemanticHighFrequencyLoss(self.loss.ignore_index)
        self.inference_settings = inference
        self.image_scores: dict[str, Rows] = {}
        self.val_metrics = self._new_metrics(metrics)
        self.test_metrics = self._new_metrics(metrics)
        self._scorers = {"val": ImageScorer(self.val_metrics), "test": ImageScorer(self.test_metrics)}

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, classes, H, W] of normalised images [B, C, H, W], predicted as the inference settings say."""
        return predict_logits(self.network, images, **asdict(self.inference_settings))

    def describe_scores(self) -> dict[str, Any]:
        """The band around edges and what an edge is."""
        return {"band": self.val_metrics.width, "edges": self.val_metrics.edges}

    def batch_loss(self, batch: dict[str, Any]) -> Tensor:
        """Loss of a batch, those of the auxiliary head and of the modulations included."""
        found = self.network.forward_train(batch["image"])
        loss = self.loss(found.logits, batch["mask"], found.auxiliary)
        if not self.high_frequency_weight:
            return loss
        misplaced = self.high_frequency_loss(found.attentions, batch["mask"], found.warps)
        self.log("train/high_frequency_loss", misplaced)
        return loss + self.high_frequency_weight * misplaced

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Class ids of a batch at the size of its masks, (B, H, W), int64."""
        return label_maps(self(batch["image"]), batch["mask"].shape[-2:])

    def count(self, stage: str, batch: dict[str, Any]) -> None:
        """Count the predictions of a batch, image by image."""
        target = batch["mask"]
        self._scorers[stage].update(batch["name"], label_maps(self(batch["image"]), target.shape[-2:]), target)

    def finish(self, stage: str) -> None:
        """Keep and log the scores, and those of every image."""
        scorer = self._scorers[stage]
        scores, of_images = scorer.metrics.compute(), scorer.collect()
        scorer.metrics.reset()
        if not self.trainer.sanity_checking:
            self.image_scores[stage] = of_images
        self.log_scores(stage, scores)

    def _new_metrics(self, settings: MetricSettings) -> SegmentationMetrics:
        return SegmentationMetrics(self.network.classes, self.loss.ignore_index, settings.edges, settings.width)
