# SPDX-License-Identifier: Apache-2.0
"""What training has in common whatever is predicted: optimiser, schedule, seeds, times, and what checkpoints store."""

import time
from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from dealias import __version__
from dealias.train.checkpoints import check_origin
from dealias.train.optim import OptimizerSettings, build_optimizer
from dealias.train.schedule import ScheduleSettings, build_schedule, learning_rate
from dealias.train.sharding import FullySharded


class NetworkTask(LightningModule):
    """Train, validate, test and predict with a built network.

    Logged are ``train/loss``, ``train/lr``, ``train/seconds_per_step`` (data and optimiser included, validation not)
    and scores. :attr:`scores` keeps the latest of ``val`` and ``test``, :attr:`step_seconds` all times. What a network
    draws at random depends on (seed, epoch, batch, process) alone, so that a resumed run equals an uninterrupted one.

    Args:
        network: has ``config`` (plain Python values that rebuild it), ``classes`` and ``parameter_parts()``.
        optimizer: optimiser and learning rates.
        schedule: course of the learning rate over the optimiser steps of the run.
        seed: of what the network draws at random.
    """

    kind: str
    """What it is called in checkpoints, the key of :data:`dealias.train.tasks.TASKS`."""

    network_methods: tuple[str, ...] = ()
    """Methods of the network that are called besides ``forward``."""

    def __init__(self, network: Any, optimizer: OptimizerSettings, schedule: ScheduleSettings, seed: int) -> None:
        super().__init__()
        self.network = network
        self.optimizer_settings = optimizer
        self.schedule_settings = schedule
        self.seed = seed
        self.scores: dict[str, dict[str, Any]] = {}
        self.step_seconds: list[float] = []
        self._step_started = time.perf_counter()

    @property
    @abstractmethod
    def score(self) -> str:
        """The score whose best checkpoint is kept, and which is told at the end."""

    @property
    def classes(self) -> int:
        """How many classes the data must have."""
        return self.network.classes

    @abstractmethod
    def batch_loss(self, batch: dict[str, Any]) -> Tensor:
        """Loss of a training batch."""

    @abstractmethod
    def count(self, stage: str, batch: dict[str, Any]) -> None:
        """Predict a batch, and count the predictions for ``"val"`` or ``"test"``."""

    @abstractmethod
    def finish(self, stage: str) -> None:
        """Keep and log the scores of ``"val"`` or ``"test"``, and begin anew."""

    def describe_scores(self) -> dict[str, Any]:
        """How predictions are scored, in plain values, for ``metrics.json``."""
        return {}

    def configure_model(self) -> None:
        """Share out the weights if the strategy does."""
        strategy = self.trainer.strategy
        if isinstance(strategy, FullySharded):
            strategy.shard(self.network, self.network_methods)

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
            if found != self.classes:
                raise ValueError(f"the network has {self.classes} classes, the data has {found}")

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
        loss = self.batch_loss(batch)
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
        self.count("val", batch)

    def on_validation_epoch_end(self) -> None:
        """Log the scores, and start the clock of the next step."""
        self.finish("val")
        self._step_started = time.perf_counter()

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Count the predictions of a batch."""
        self.count("test", batch)

    def on_test_epoch_end(self) -> None:
        """Log the scores."""
        self.finish("test")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store what rebuilds the network, see :func:`dealias.train.load_checkpoint`, and its latest scores."""
        stored = {"version": __version__, "task": self.kind, "network": self.network.config, "scores": self.scores}
        checkpoint["dealias"] = stored

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the scores of a run that is resumed, and refuse the checkpoint of another network.

        Raises:
            ValueError: the tasks or networks differ; the message lists how. Or it is none of dealias.
        """
        path = self.trainer.ckpt_path
        check_origin(checkpoint, path, self.kind)
        stored = checkpoint["dealias"]["network"]
        pairs = {key: (stored.get(key), self.network.config.get(key)) for key in {*stored, *self.network.config}}
        differing = [key for key, (there, here) in sorted(pairs.items()) if there != here and key != "encoder_weights"]
        if differing:
            listed = ", ".join(f"{key} {pairs[key][0]!r} instead of {pairs[key][1]!r}" for key in differing)
            raise ValueError(f"{path}: the checkpoint is of another network, it has {listed}")
        if self.trainer.state.fn == "fit":
            self.scores = checkpoint["dealias"]["scores"]

    def log_scores(self, stage: str, scores: dict[str, Tensor]) -> None:
        """Keep all scores of a stage and log those without dimensions; nothing before the training begins."""
        if self.trainer.sanity_checking:
            return
        self.scores[stage] = {name: value.tolist() for name, value in scores.items()}
        # All processes hold the same scores, so there is nothing to average.
        self.log_dict({f"{stage}/{name}": value for name, value in scores.items() if value.dim() == 0})

    def _total_steps(self) -> int:
        steps = self.trainer.estimated_stepping_batches
        if not 0 < steps < float("inf"):
            raise ValueError(
                "the schedule needs the length of the training: give trainer.max_steps or trainer.max_epochs"
            )
        return int(steps)
