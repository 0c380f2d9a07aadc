# SPDX-License-Identifier: Apache-2.0
"""``dealias fit | validate | test | predict``: Lightning's command line around our tasks, data and run directory."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, RichModelSummary
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from dealias._files import remove_unfinished, write_json, write_text
from dealias.robustness import ATTACKS, AttackSettings
from dealias.train.checkpoint_files import AtomicCheckpointIO, readable_checkpoint, set_aside_damaged
from dealias.train.checkpoints import best_checkpoint
from dealias.train.failures import how_to_resume, telling_what_stopped
from dealias.train.history import HistoryLogger
from dealias.train.last_checkpoint import LastCheckpoint
from dealias.train.progress import EpochProgressBar
from dealias.train.robustness import RobustnessTest
from dealias.train.run_directory import (
    checkpoint_path,
    environment,
    new_run_directory,
    newest_checkpoint,
    run_of_checkpoint,
)
from dealias.train.sharding import FullySharded
from dealias.train.sync_norm import SyncNorm
from dealias.train.task_choice import DEFAULT_TASK, TASK_NAMES, choose_task
from dealias.train.tasks import TASKS

_SHARED_DIRECTORY = "DEALIAS_RUN_DIRECTORY"
DESCRIPTIONS = {
    "fit": "Train a model on data.train, and keep the checkpoints that are best on data.val and last. On CUDA devices "
    "that have bfloat16, trainer.precision is bf16-mixed unless it is given.",
    "validate": "Score a checkpoint (--ckpt_path best, last or a file) on data.val.",
    "test": "Score a checkpoint (--ckpt_path best, last or a file) on data.test, and on attacked images with --attack "
    "where the task has it.",
    "predict": "Write what a checkpoint (--ckpt_path best, last or a file) says of data.predict: a label PNG of every "
    "image, a table of their classes, or the objects in COCO's formats with overlays.",
}
"""What the subcommands do."""

_ATTACK_OPTIONS = ("attack", "epsilon", "attack_steps")
_DEFAULTS = {"use_distributed_sampler": False, "gradient_clip_val": 5.0, "log_every_n_steps": 10}


@dataclass(frozen=True)
class RunSettings:
    """Where a run is kept.

    Args:
        directory: folder of the run; null for a new one under runs/, or for that of the run that is resumed.
        checkpoint_every: optimiser steps between saves of checkpoints/last.ckpt.
        pictures: evenly spaced images whose predictions are kept, besides the worst and the best; 0 for none at all.
    """

    directory: str | None = None
    checkpoint_every: int = 200
    pictures: int = 4


_RUN = RunSettings()


class TrainingCLI(LightningCLI):
    """Parse the arguments, build everything, run the subcommand in a run directory and write down what came out.

    What is trained is the task that the arguments choose, one of :data:`dealias.train.tasks.TASKS`.
    ``ckpt_path`` may be ``last`` or ``best``: that of ``run.directory``, or of the newest run under ``runs/``. A
    resumed ``fit`` continues in the directory of its checkpoint; every other run gets a new one. Without
    ``trainer.precision``, CUDA devices that have bfloat16 train and predict in it (``bf16-mixed``). What was used is in
    ``config.yaml``.

    Args:
        args: the subcommand and its arguments.

    Raises:
        argparse.ArgumentError: an argument is unknown, missing or wrong.
        ValueError: the arguments do not fit each other or the data.
        FloatingPointError: the loss became nan or infinite.
        KeyboardInterrupt: the run was told to stop; the message says how to resume it.
    """

    run_directory: Path

    def __init__(self, args: list[str]) -> None:
        self.task_name = choose_task(args)
        self.kind = TASKS[self.task_name]
        self.robustness: RobustnessTest | None = None
        self._attacks: AttackSettings | None = None
        subcommands = {
            name: {
                "exit_on_error": False,
                "usage": f"dealias {name} --config FILE [--OPTION VALUE ...]",
                "description": text,
            }
            for name, text in DESCRIPTIONS.items()
        }
        super().__init__(
            self.kind.task,
            self.kind.data,
            save_config_callback=None,
            trainer_defaults=_DEFAULTS,
            parser_kwargs={"prog": "dealias", "exit_on_error": False, **subcommands},
            args=args,
            auto_configure_optimizers=False,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The trainer's methods, and those of their arguments that are set here."""
        ours = {"model", "datamodule", "weights_only"}
        return {
            "fit": {*ours, "train_dataloaders", "val_dataloaders"},
            "validate": {*ours, "dataloaders"},
            "test": {*ours, "dataloaders"},
            "predict": {*ours, "dataloaders", "return_predictions"},
        }

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the task and the one seed of a run."""
        names = f"{', '.join(TASK_NAMES[:-1])} or {TASK_NAMES[-1]}"
        text = f"What is trained: {names}; the arguments of model and data are those of the task."
        parser.add_argument("--task", choices=TASK_NAMES, default=DEFAULT_TASK, help=text)
        parser.add_argument("--seed_everything", type=int, default=0, help="Seed of weights, order and augmentation.")

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add ``run``, and give every part the seed."""
        parser.add_argument("--run", type=RunSettings, default=_RUN)
        for part in ("model", "data"):
            parser.link_arguments("seed_everything", f"{part}.seed")

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand == "test" and self.kind.labels is not None:
            text = "Attack the images as well, in single precision: fgsm, pgd or both."
            parser.add_argument("--attack", nargs="+", choices=ATTACKS, help=text)
            text = "Largest changes of a value by attacks, in grey levels of 255."
            parser.add_argument("--epsilon", nargs="+", type=float, default=[1.0, 2.0, 4.0], help=text)
            parser.add_argument("--attack_steps", type=int, default=10, help="Steps of pgd.")
        return parser

    def before_instantiate_classes(self) -> None:
        """Find the checkpoint, choose the precision and the attacks."""
        options = self.config[self.subcommand]
        if options.ckpt_path in ("last", "best"):
            run, which = options.run.directory, options.ckpt_path
            options.ckpt_path = str(checkpoint_path(run, which) if run else newest_checkpoint(which))
        if options.ckpt_path:
            options.ckpt_path = self._readable(Path(options.ckpt_path))
        if self.subcommand != "fit" and not options.ckpt_path:
            raise ValueError(f"{self.subcommand} needs trained weights: give --ckpt_path best, last or a file")
        on_cpus = options.trainer.accelerator == "cpu" or not torch.cuda.is_available()
        if options.trainer.sync_batchnorm and on_cpus and _has_more_processes(options.trainer):
            raise ValueError("trainer.sync_batchnorm needs CUDA devices; leave it out for several processes on CPUs")
        if options.trainer.precision is None and _has_bfloat16(options.trainer.accelerator):
            options.trainer.precision = "bf16-mixed"
        if self.subcommand == "test" and options.get("attack"):
            epsilons, seed = tuple(options.epsilon), options.seed_everything
            self._attacks = AttackSettings(tuple(options.attack), epsilons, options.attack_steps, seed)
            options.trainer.inference_mode = False  # attacks need gradients

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer, with our loggers, callbacks and way to write checkpoints."""
        self.run_directory = self._make_directory()
        options = self._get(self.config_init, "trainer")
        plugins = options.plugins if isinstance(options.plugins, list) else [options.plugins] if options.plugins else []
        if options.sync_batchnorm:
            plugins = [*plugins, SyncNorm()]
        if options.strategy == "fsdp":
            options.strategy = FullySharded()  # Lightning's needs GPUs, and one class for each part of a network
        logger = self._loggers() if options.logger in (None, True) else options.logger
        self._best = best_checkpoint(self.run_directory / "checkpoints", self.model.score)
        options.callbacks = [*(options.callbacks or []), *self._callbacks(options)]
        trainer = super().instantiate_trainer(plugins=[*plugins, AtomicCheckpointIO()], logger=logger, **kwargs)
        self._describe_run(trainer)
        return trainer

    def predict(self, **kwargs: Any) -> None:
        """Predict without keeping the predictions: they are files."""
        self.trainer.predict(**kwargs, return_predictions=False)

    def _parse_ckpt_path(self) -> None:
        """Our checkpoints hold no hyper-parameters that could change the arguments."""

    def _run_subcommand(self, subcommand: str) -> None:
        started = time.perf_counter()
        last = checkpoint_path(self.run_directory, "last")
        try:
            with telling_what_stopped(last):
                super()._run_subcommand(subcommand)
        except SystemExit:
            if not self.trainer.interrupted:
                raise
            raise KeyboardInterrupt(f"interrupted; {how_to_resume(last)}") from None
        self._write_results(subcommand, time.perf_counter() - started)

    def _readable(self, path: Path) -> str:
        """The checkpoint at ``path`` or the one before; a run that goes on from that one does not lose it."""
        found = readable_checkpoint(path)
        if found != path and self.subcommand == "fit" and _is_first_process():
            set_aside_damaged(path)
        return str(found)

    def _make_directory(self) -> Path:
        """The run's folder, made if it is new."""
        given, checkpoint = self._get(self.config, "run").directory, self._get(self.config, "ckpt_path")
        resumed = run_of_checkpoint(checkpoint) if checkpoint and self.subcommand == "fit" else None
        given = resumed if given is None else Path(given)
        if not _is_first_process():  # started by the first one, which has made the folder
            shared = given or os.environ.get(_SHARED_DIRECTORY)
            if shared is None:
                raise ValueError("give --run.directory: processes that are started from outside share no new folder")
            return Path(shared)
        if given is None:
            given = new_run_directory(str(self.subcommand))
        elif (given / "config.yaml").exists() and resumed != given:
            raise ValueError(
                f"{given} holds a run already; resume it with fit --ckpt_path last or choose another folder"
            )
        os.environ[_SHARED_DIRECTORY] = str(given)
        if resumed == given:
            remove_unfinished(given)
        return given

    def _loggers(self) -> list[Logger]:
        board = TensorBoardLogger(self.run_directory, name="tensorboard", version="", default_hp_metric=False)
        return [HistoryLogger(self.run_directory), board] if self.subcommand == "fit" else []

    def _callbacks(self, options: Any) -> list[Callback]:
        callbacks: list[Callback] = []
        if options.enable_progress_bar is not False:
            callbacks.append(EpochProgressBar())
        if options.enable_model_summary is not False:
            callbacks.append(RichModelSummary(max_depth=2))
        settings = self._get(self.config_init, "run")
        callbacks += self.kind.writers(str(self.subcommand), self.run_directory, settings.pictures)
        if self._attacks is not None and self.kind.labels is not None:
            self.robustness = RobustnessTest(self.run_directory, self._attacks, self.kind.labels)
            callbacks.append(self.robustness)
        keep = not options.fast_dev_run and options.enable_checkpointing is not False
        if self.subcommand == "fit" and keep:
            last = checkpoint_path(self.run_directory, "last")
            callbacks += [self._best, LastCheckpoint(last, settings.checkpoint_every)]
        return callbacks

    @rank_zero_only
    def _describe_run(self, trainer: Trainer) -> None:
        """Write ``env.json``, and ``config.yaml`` without what belongs to this start or this subcommand alone."""
        config = self.config[self.subcommand].clone()
        device = trainer.strategy.root_device
        for key in ("config", "ckpt_path", "verbose", *_ATTACK_OPTIONS):
            config.pop(key, None)
        config.run.directory = None
        parser = self._parser(self.subcommand)
        write_text(self.run_directory / "config.yaml", parser.dump(config, skip_none=False))
        write_json(self.run_directory / "env.json", environment(config.seed_everything, device))

    @rank_zero_only
    def _write_results(self, subcommand: str, seconds: float) -> None:
        """Write ``metrics.json``."""
        best = self._best.best_model_score
        write_json(
            self.run_directory / "metrics.json",
            {
                "command": subcommand,
                "task": self.task_name,
                "checkpoint": self._get(self.config, "ckpt_path"),
                **self.model.describe_scores(),
                "classes": self.datamodule.describe()["classes"],
                "parameters": sum(parameter.numel() for parameter in self.model.network.parameters()),
                "steps": self.trainer.global_step,
                "seconds": seconds,
                "seconds_per_step": median(self.model.step_seconds) if self.model.step_seconds else None,
                f"best_{self.model.score}": None if best is None else best.item(),
                "scores": self.model.scores,
            },
        )


def _is_first_process() -> bool:
    return getattr(rank_zero_only, "rank", 0) == 0


def _has_more_processes(trainer: Any) -> bool:
    """Whether a training on CPUs will have more than one process: alone it has nothing to synchronise."""
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    return launched > 1 or trainer.num_nodes > 1 or str(trainer.devices) not in ("auto", "1")


def _has_bfloat16(accelerator: Any) -> bool:
    return accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
