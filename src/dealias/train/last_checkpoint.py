# SPDX-License-Identifier: Apache-2.0
"""The checkpoint to resume from: kept up to date, also when a run is interrupted."""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from dealias.train.history import HistoryLogger

_LOGGED_LAST = "on_train_batch_end."


class LastCheckpoint(Checkpoint):
    """Save to one file, at points from which a resumed run equals an uninterrupted one.

    These are the ends of optimiser steps without a validation to follow, and the ends of validations: there, no
    gradient is half accumulated and no validation is lost. It saves every so many steps, after the last step, after
    every validation, and when the run is told to stop by Ctrl-C or SIGTERM. A second Ctrl-C stops at once.

    The trainer logs a step only after it is saved here. So that a run that ends in between loses nothing, the
    checkpoint holds what is to be logged, and a resumed run gives it to its :class:`dealias.train.HistoryLogger`.

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
        self._handlers: dict[int, Any] = {}
        self._unlogged: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """What the trainer is about to log of the step that is saved."""
        return {"unlogged": self._unlogged}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what was about to be logged."""
        self._unlogged = state_dict["unlogged"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log what a run that is resumed may not have come to log."""
        for logger in trainer.loggers:
            if isinstance(logger, HistoryLogger) and self._unlogged is not None:
                logger.restore(**self._unlogged)
        self._unlogged = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over Ctrl-C, and SIGTERM: what the trainer does in its handler disturbs a message between processes."""
        _begin_epoch_after_resume(trainer)
        self._stop = False
        if threading.current_thread() is threading.main_thread():  # the only one that may
            self._handlers = {each: signal.signal(each, self._request_stop) for each in (signal.SIGINT, signal.SIGTERM)}

    def on_train_batch_end(self, trainer: Trainer, *unused: Any) -> None:
        """Save if it is time."""
        if _accumulating(trainer) or _validation_follows(trainer):
            return
        stop = self._must_stop(trainer)
        last = trainer.global_step == trainer.estimated_stepping_batches
        if stop or last or trainer.global_step % self.every_steps == 0:
            self._unlogged = _to_be_logged(trainer)
            try:
                self._save(trainer, stop)
            finally:
                self._unlogged = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after a validation within the training."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._save(trainer, self._must_stop(trainer))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give both back."""
        self._release()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give both back."""
        self._release()

    def _release(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def _save(self, trainer: Trainer, stop: bool) -> None:
        trainer.save_checkpoint(self.path, weights_only=False)
        if stop:
            raise KeyboardInterrupt

    def _must_stop(self, trainer: Trainer) -> bool:
        """Whether any process was told to stop: all of them have to save together."""
        return trainer.strategy.reduce_boolean_decision(self._stop or trainer.received_sigterm, all=False)

    def _request_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop = True
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _begin_epoch_after_resume(trainer: Trainer) -> None:
    """Let the trainer begin a new epoch after a checkpoint of the last batch of one.

    It counts that epoch as done, but then takes the next one for begun already. What it saves would not resume rightly.
    """
    loop: Any = trainer.fit_loop
    if loop.restarted_mid_epoch and loop.epoch_progress.total.processed == loop.epoch_progress.total.started:
        loop.reset_restart_stage()


def _to_be_logged(trainer: Trainer) -> dict[str, Any] | None:
    """The row of this step without what the module logs only at its very end, where a value of the last step stands.

    The trainer's public attributes mix it with earlier rows.
    """
    if not trainer._logger_connector.should_update_logs or trainer._results is None:
        return None
    last = {key.removeprefix(_LOGGED_LAST) for key in trainer._results if key.startswith(_LOGGED_LAST)}
    metrics = {name: float(value) for name, value in trainer._logger_connector.metrics["log"].items()}
    known = {name: value for name, value in metrics.items() if name not in last}
    step = trainer.fit_loop.epoch_loop._batches_that_stepped
    return {"step": step, "metrics": {"epoch": float(trainer.current_epoch), **known}}


def _accumulating(trainer: Trainer) -> bool:
    """Whether gradients of this batch wait for those of the next ones."""
    return trainer.fit_loop._should_accumulate()


def _validation_follows(trainer: Trainer) -> bool:
    """Whether the trainer validates before the next batch; its public attributes alone do not tell."""
    loop = trainer.fit_loop
    return loop._data_fetcher is not None and loop.epoch_loop._should_check_val_fx(loop._data_fetcher)
