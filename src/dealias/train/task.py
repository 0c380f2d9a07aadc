# SPDX-License-Identifier: Apache-2.0
"""Semantic segmentation as a Lightning module: loss, optimiser, schedule and scores around a built network."""

import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from dealias import __version__
from dealias.losses import SegmentationLoss
from dealias.metrics import SegmentationMetrics
from dealias.models import SegmentationModel
from dealias.train.checkpoints import check_origin
from dealias.train.image_scores import ImageScorer, Rows
from dealias.train.inference import InferenceSettings, label_maps, predict_logits
from dealias.train.optim import OptimizerSettings, build_optimizer
from dealias.train.schedule import ScheduleSettings, build_schedule, learning_rate


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


class SegmentationTask(LightningModule):
    """Train, validate, test and predict with a segmentation network.

    Batches are dictionaries with ``image`` [B, C, H, W], ``mask`` [B, H, W] and ``name``. Logged are ``train/loss``,
    ``train/lr``, ``train/seconds_per_step`` (data and optimiser included, validation not), and for ``val`` and ``test``
    all scores without dimensions. :attr:`scores` keeps the latest with those per class, :attr:`image_scores` those of
    every image, :attr:`step_seconds` all times.
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
    """

    def __init__(
        self,
        network: SegmentationModel,
        loss: SegmentationLoss | None = None,
        optimizer: OptimizerSettings = _OPTIMIZER,
        schedule: ScheduleSettings = _SCHEDULE,
        inference: InferenceSettings = _INFERENCE,
        metrics: MetricSettings = _METRICS,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = SegmentationLoss() if loss is None else loss
        self.optimizer_settings = optimizer
        self.schedule_settings = schedule
        self.inference_settings = inference
        self.seed = seed
        self.scores: dict[str, dict[str, Any]] = {}
        self.image_scores: dict[str, Rows] = {}
        self.step_seconds: list[float] = []
        self.val_metrics = self._new_metrics(metrics)
        self.test_metrics = self._new_metrics(metrics)
        self._scorers = {"val": ImageScorer(self.val_metrics), "test": ImageScorer(self.test_metrics)}
        self._step_started = time.perf_counter()

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, classes, H, W] of normalised images [B, C, H, W], predicted as the inference settings say."""
        return predict_logits(self.network, images, **asdict(self.inference_settings))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser with learning rates by part, and its schedule by optimiser steps."""
        optimizer = build_optimizer(self.network.parameter_parts(), self.optimizer_settings)
        schedule = build_schedule(optimizer, self._total_steps(), self.schedule_settings)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_fit_start(self) -> None:
        """Refuse data that the network does not fit, before the first step."""
        trainer: Any = self.trainer  # its attribute datamodule is not declared
        if trainer.datamodule is not None:
            found = len(trainer.datamodule.describe()["classes"])
            if found != self.network.classes:
                raise ValueError(f"the network has {self.network.classes} classes, the data has {found}")

    def on_train_epoch_start(self) -> None:
        """Start the clock of the first step."""
        self._step_started = time.perf_counter()

    def on_train_batch_start(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Seed what the network draws in this step."""
        entropy = (self.seed, self.current_epoch, batch_idx, self.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Loss of a batch.

        Raises:
            FloatingPointError: the loss is nan or infinite; nothing is saved after that.
        """
        logits, auxiliary = self.network.forward_train(batch["image"])
        loss = self.loss(logits, batch["mask"], auxiliary)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.global_step} (epoch {self.current_epoch}, batch {batch_idx}, "
                f"samples {', '.join(batch['name'])}); try a lower learning rate, a longer warm-up or gradient clipping"
            )
        rate = learning_rate(self.global_step, self._total_steps(), self.optimizer_settings.lr, self.schedule_settings)
        self.log("train/loss", loss, prog_bar=True)
        self.log("train/lr", rate)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: dict[str, Any], batch_idx: int) -> None:
        """Log how long the step took, from the end of the one before."""
        now = time.perf_counter()
        seconds = (now - self._step_started) * self.trainer.accumulate_grad_batches
        self._step_started = now
        self.step_seconds.append(seconds)
        self.log("train/seconds_per_step", seconds)

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Count the predictions of a batch."""
        self._count("val", batch)

    def on_validation_epoch_end(self) -> None:
        """Log the scores, and start the clock of the next step."""
        self._finish("val")
        self._step_started = time.perf_counter()

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Count the predictions of a batch."""
        self._count("test", batch)

    def on_test_epoch_end(self) -> None:
        """Log the scores."""
        self._finish("test")

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Class ids of a batch at the size of its masks, (B, H, W), int64."""
        return label_maps(self(batch["image"]), batch["mask"].shape[-2:])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store what rebuilds the network, see :func:`dealias.train.load_checkpoint`, and its latest scores."""
        checkpoint["dealias"] = {"version": __version__, "network": self.network.config, "scores": self.scores}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the scores of a run that is resumed, and refuse the checkpoint of another network.

        Raises:
            ValueError: the networks differ; the message lists how. Or it is none of dealias.
        """
        path = self.trainer.ckpt_path
        check_origin(checkpoint, path)
        stored = checkpoint["dealias"]["network"]
        pairs = {key: (stored.get(key), self.network.config.get(key)) for key in {*stored, *self.network.config}}
        differing = [key for key, (there, here) in sorted(pairs.items()) if there != here and key != "encoder_weights"]
        if differing:
            listed = ", ".join(f"{key} {pairs[key][0]!r} instead of {pairs[key][1]!r}" for key in differing)
            raise ValueError(f"{path}: the checkpoint is of another network, it has {listed}")
        if self.trainer.state.fn == "fit":
            self.scores = checkpoint["dealias"]["scores"]

    def _new_metrics(self, settings: MetricSettings) -> SegmentationMetrics:
        return SegmentationMetrics(self.network.classes, self.loss.ignore_index, settings.edges, settings.width)

    def _total_steps(self) -> int:
        steps = self.trainer.estimated_stepping_batches
        if not 0 < steps < float("inf"):
            raise ValueError(
                "the schedule needs the length of the training: give trainer.max_steps or trainer.max_epochs"
            )
        return int(steps)

    def _count(self, stage: str, batch: dict[str, Any]) -> None:
        target = batch["mask"]
        self._scorers[stage].update(batch["name"], label_maps(self(batch["image"]), target.shape[-2:]), target)

    def _finish(self, stage: str) -> None:
        scorer = self._scorers[stage]
        scores, of_images = scorer.metrics.compute(), scorer.collect()
        scorer.metrics.reset()
        if self.trainer.sanity_checking:
            return
        self.scores[stage] = {name: value.tolist() for name, value in scores.items()}
        self.image_scores[stage] = of_images
        # All processes hold the same scores, so there is nothing to average.
        self.log_dict({f"{stage}/{name}": value for name, value in scores.items() if value.dim() == 0})
