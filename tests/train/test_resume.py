# SPDX-License-Identifier: Apache-2.0
"""A run that was killed and resumed equals one that was not: weights bit by bit, scores, history."""

import csv
import os
import signal
from pathlib import Path

import pytest
import torch

from dealias.train import HistoryLogger, LastCheckpoint, OptimizerSettings, ScheduleSettings, best_checkpoint

BY_STEPS = {"max_steps": 8, "max_epochs": -1, "val_check_interval": 5, "check_val_every_n_epoch": None}
SETTINGS = {
    "validation after epochs": ({"max_epochs": 3}, 8),
    "validation within epochs": ({"max_epochs": 2, "val_check_interval": 2}, 5),
    "validation by steps": (BY_STEPS, 7),
    "validation after some epochs": ({"max_epochs": 3, "check_val_every_n_epoch": 2}, 8),
    "accumulated gradients": ({"max_epochs": 3, "accumulate_grad_batches": 2}, 5),
    "no validation": ({"max_epochs": 2, "limit_val_batches": 0}, 5),
}
"""Trainer options, three batches per epoch, and how many checkpoints are followed by a batch."""


POLY = ScheduleSettings("poly")


class Killed(Exception):
    pass


class KilledAfterSaving(LastCheckpoint):
    """Ends the run at the first batch after a save."""

    saved = False

    def _save(self, trainer, stop):
        super()._save(trainer, stop)
        self.saved = True

    def on_train_batch_start(self, *unused):
        if self.saved:
            raise Killed


class KilledBySaving(LastCheckpoint):
    """Ends the run with every save, before the step is logged."""

    def _save(self, trainer, stop):
        super()._save(trainer, stop)
        raise Killed


@pytest.fixture
def train(make_task, make_data, make_trainer):
    """Train in a run directory, from its last checkpoint if it has one."""

    def train(run, options, callback=LastCheckpoint, workers=0, schedule=POLY):
        last = run / "checkpoints" / "last.ckpt"
        task = make_task(optimizer=OptimizerSettings("sgd", lr=0.05), schedule=schedule)
        callbacks = [best_checkpoint(last.parent), callback(last, every_steps=1)]
        trainer = make_trainer(callbacks=callbacks, logger=HistoryLogger(run), **options)
        trainer.fit(task, make_data(length=7, workers=workers), ckpt_path=last if last.is_file() else None)
        return task

    return train


def train_with_kills(train, run, options, killed, workers=0):
    for kills in range(20):
        try:
            return train(run, options, killed, workers), kills
        except Killed:
            continue
    raise AssertionError("the run makes no progress")


def history(run):
    with (run / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "train/seconds_per_step"} for row in csv.DictReader(file)]


def assert_equal_runs(found, expected, found_run, expected_run):
    for name, tensor in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor), name
    assert history(found_run) == history(expected_run)
    assert found.scores == expected.scores
    for which in ("best", "last"):
        files = [run / "checkpoints" / f"{which}.ckpt" for run in (found_run, expected_run)]
        assert files[0].is_file() == files[1].is_file()
        if files[0].is_file():
            steps = [torch.load(file, weights_only=True)["global_step"] for file in files]
            assert steps[0] == steps[1]


@pytest.mark.parametrize(("options", "kills"), SETTINGS.values(), ids=SETTINGS)
def test_a_run_killed_after_every_checkpoint_equals_an_uninterrupted_one(train, tmp_path, options, kills):
    whole = train(tmp_path / "whole", options)
    killed, count = train_with_kills(train, tmp_path / "killed", options, KilledAfterSaving)
    assert count == kills
    assert_equal_runs(killed, whole, tmp_path / "killed", tmp_path / "whole")


@pytest.mark.parametrize("options", [options for options, _ in SETTINGS.values()], ids=SETTINGS)
def test_a_run_killed_before_it_logs_what_it_saved_lacks_nothing(train, tmp_path, options):
    whole = train(tmp_path / "whole", options)
    killed, kills = train_with_kills(train, tmp_path / "killed", options, KilledBySaving)
    assert kills >= 5
    assert_equal_runs(killed, whole, tmp_path / "killed", tmp_path / "whole")


def test_a_run_killed_within_its_validations_validates_again(train, tmp_path):
    killed_at = set()

    class KilledInValidation(LastCheckpoint):
        def on_validation_batch_end(self, trainer, *unused):
            if trainer.global_step not in killed_at:
                killed_at.add(trainer.global_step)
                raise Killed

    options = {"max_epochs": 2, "val_check_interval": 2}
    whole = train(tmp_path / "whole", options)
    for _ in range(2):
        with pytest.raises(Killed):
            train(tmp_path / "killed", options, KilledInValidation)
    killed = train(tmp_path / "killed", options, KilledInValidation)
    assert killed_at == {2, 5}
    assert_equal_runs(killed, whole, tmp_path / "killed", tmp_path / "whole")


def test_killed_runs_with_workers_equal_uninterrupted_ones(train, tmp_path):
    options = {"max_epochs": 2}
    whole = train(tmp_path / "whole", options)
    killed, _ = train_with_kills(train, tmp_path / "killed", options, KilledAfterSaving, workers=1)
    assert_equal_runs(killed, whole, tmp_path / "killed", tmp_path / "whole")


@pytest.mark.parametrize("validate", [{}, {"limit_val_batches": 0}], ids=["validation", "no validation"])
def test_a_finished_run_can_be_extended(train, tmp_path, validate):
    constant = ScheduleSettings("constant")
    whole = train(tmp_path / "whole", {"max_epochs": 3, **validate}, schedule=constant)
    for epochs in (1, 2, 3):
        extended = train(tmp_path / "extended", {"max_epochs": epochs, **validate}, schedule=constant)
    assert_equal_runs(extended, whole, tmp_path / "extended", tmp_path / "whole")


def test_resuming_a_finished_run_changes_nothing(train, tmp_path):
    whole = train(tmp_path, {"max_epochs": 2})
    before = history(tmp_path)
    again = train(tmp_path, {"max_epochs": 2})
    assert again.scores == whole.scores and history(tmp_path) == before


def test_interrupt_saves_at_the_end_of_the_step(make_task, make_data, make_trainer, tmp_path):
    class Interrupt(LastCheckpoint):
        def on_train_batch_start(self, trainer, task, batch, batch_idx):
            super().on_train_batch_start(trainer, task, batch, batch_idx)
            if trainer.global_step == 3:
                os.kill(os.getpid(), signal.SIGINT)

    path = tmp_path / "last.ckpt"
    handler = signal.getsignal(signal.SIGINT)
    task = make_task()
    trainer = make_trainer(max_epochs=2, callbacks=[Interrupt(path, every_steps=100)])
    try:
        with pytest.raises(SystemExit):
            trainer.fit(task, make_data())
    finally:
        signal.signal(signal.SIGINT, handler)
    assert trainer.interrupted
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["global_step"] == 4
    for name, tensor in task.state_dict().items():
        assert torch.equal(checkpoint["state_dict"][name], tensor)


def test_a_finished_training_gives_interrupts_back(make_task, make_data, make_trainer, tmp_path):
    handler = signal.getsignal(signal.SIGINT)
    make_trainer(max_steps=1, callbacks=[LastCheckpoint(tmp_path / "last.ckpt")]).fit(make_task(), make_data())
    assert signal.getsignal(signal.SIGINT) is handler
    assert Path(tmp_path / "last.ckpt").is_file()  # after the last step, whatever the interval
