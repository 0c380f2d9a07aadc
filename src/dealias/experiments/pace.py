# SPDX-License-Identifier: Apache-2.0
"""How far a run is: by its steps or by its time, which then also decides the learning rate and the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from dealias.train.base_task import NetworkTask
from dealias.train.schedule import learning_rate

BUDGET_STEPS = 1_000_000
"""Length that the schedule of a run with a time budget is given; its position in it follows the clock."""


class Pace(Callback):
    """Lightning callback that tells the share of a training that is done, and keeps to a time budget.

    With a budget the trainer's ``max_steps`` is :data:`BUDGET_STEPS`: after each step the schedule is set to the share
    of the budget that is used, so a slow network goes through the same course of learning rates in fewer steps.
    Training ends with the first step that ends after the budget. The clock starts with the first step; reading the data
    counts.

    Args:
        report: called after each step with the share that is done, 0 to 1.
        budget: seconds; ``None``: the trainer's ``max_steps`` are taken.
    """

    def __init__(self, report: Callable[[float], None], budget: float | None = None) -> None:
        self.report, self.budget = report, budget
        self._started = self._latest = 0.0
        self._position = 0

    @property
    def seconds(self) -> float:
        """From the first step's start to the last one's end."""
        return self._latest - self._started

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = self._latest = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *unused: Any) -> None:
        """Take the time and act on it."""
        self._latest = time.perf_counter()
        if self.budget is None:
            share = trainer.global_step / trainer.max_steps
        else:
            share = min(self.seconds / self.budget, 1.0)
            self._follow_clock(trainer, pl_module, share)
        self.report(share)

    def _follow_clock(self, trainer: Trainer, task: LightningModule, share: float) -> None:
        if isinstance(task, NetworkTask):  # it logs the rate by the number of steps, which says nothing here
            base, settings = task.optimizer_settings.lr, task.schedule_settings
            task.log("train/lr", learning_rate(self._position, BUDGET_STEPS, base, settings))
        self._position = int(share * BUDGET_STEPS)
        schedule: Any = trainer.lr_scheduler_configs[0].scheduler
        schedule.last_epoch = self._position - 1
        schedule.step()
        trainer.should_stop = share >= 1.0
