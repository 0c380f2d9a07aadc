# SPDX-License-Identifier: Apache-2.0
"""The checkpoint to resume from: kept up to date, also when a run is interrupted."""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint


class LastCheckpoint(Checkpoint):
    """Save to one file, at points from which a resumed run equals an uninterrupted one.

    These are the ends of optimiser steps without a validation to follow, and the ends of validations: there, no
    gradient is half accumulated and no validation is lost. It saves every so many steps, after the last step, after
    every validation, and when the run is told to stop by Ctrl-C or SIGTERM. A second Ctrl-C stops at once.

    Args:
        path: the file, replaced by every save.
        every_steps: optimiser steps between saves.
    """

    def __init__(self, path: str | Path, every_steps: int = 200) -> None:
        if every_steps < 1:
            raise ValueError(f"every_steps must be at least 1, got {every_steps}")
        self.path = Path(path)
        self.every_steps = every_steps
        self._stop = False
        self._handler: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over Ctrl-C."""
        _begin_epoch_after_resume(trainer)
        self._stop = False
        if threading.current_thread() is threading.main_thread():  # the only one that may
            self._handler = signal.signal(signal.SIGINT, self._request_stop)

    def on_train_batch_end(self, trainer: Trainer, *unused: Any) -> None:
        """Save if it is time."""
        if _accumulating(trainer) or _validation_follows(trainer):
            return
        stop = self._must_stop(trainer)
        last = trainer.global_step == trainer.estimated_stepping_batches
        if stop or last or trainer.global_step % self.every_steps == 0:
            self._save(trainer, stop)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after a validation within the training."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._save(trainer, self._must_stop(trainer))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give Ctrl-C back."""
        self._release()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give Ctrl-C back."""
        self._release()

    def _release(self) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self._handler = None

    def _save(self, trainer: Trainer, stop: bool) -> None:
        trainer.save_checkpoint(self.path, weights_only=False)
        if stop:
            raise KeyboardInterrupt

    def _must_stop(self, trainer: Trainer) -> bool:
        """Whether any process was told to stop: all of them have to save together."""
        return trainer.strategy.reduce_boolean_decision(self._stop or trainer.received_sigterm, all=False)

    def _request_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _begin_epoch_after_resume(trainer: Trainer) -> None:
    """Let the trainer begin a new epoch after a checkpoint of the last batch of one.

    It counts that epoch as done, but then takes the next one for begun already. What it saves would not resume rightly.
    """
    loop: Any = trainer.fit_loop
    if loop.restarted_mid_epoch and loop.epoch_progress.total.processed == loop.epoch_progress.total.started:
        loop.reset_restart_stage()


def _accumulating(trainer: Trainer) -> bool:
    """Whether gradients of this batch wait for those of the next ones."""
    return trainer.fit_loop._should_accumulate()


def _validation_follows(trainer: Trainer) -> bool:
    """Whether the trainer validates before the next batch; its public attributes alone do not tell."""
    loop = trainer.fit_loop
    return loop._data_fetcher is not None and loop.epoch_loop._should_check_val_fx(loop._data_fetcher)
