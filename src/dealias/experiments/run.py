# SPDX-License-Identifier: Apache-2.0
"""One run of a comparison: train a variant with a seed, paired with the others of that seed, and keep the results.

Paired are the initial weights of all layers that the networks share, the order of the samples and their augmentation.
``metrics.json`` is written last: a run that has it is finished.
"""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from typing import Any

import torch
import yaml
from lightning import Trainer

from dealias._files import write_json, write_text
from dealias.models import DetectionModel, SegmentationModel, create_model
from dealias.train.base_data import PairedData
from dealias.train.base_task import NetworkTask
from dealias.train.checkpoint_files import AtomicCheckpointIO
from dealias.train.history import HistoryLogger
from dealias.train.optim import OptimizerSettings
from dealias.train.run_directory import checkpoint_path, environment
from dealias.train.schedule import ScheduleSettings

from .kind import Course
from .kinds import kind_of
from .pace import BUDGET_STEPS, Pace
from .pool import Report
from .settings import CompareSettings, Run
from .variants import Variant

_LOG_EVERY = 10


def train_run(run: Run, report: Report) -> None:
    """Train, validate and write everything down; what an unfinished run has left in the directory goes first.

    Args:
        run: what to train.
        report: told the share of the training that is done.
    """
    settings, folder = run.settings, run.directory
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kind = kind_of(settings)
    counts = kind.counts
    write_text(folder / "config.yaml", yaml.safe_dump(run.config(), sort_keys=False))
    write_json(folder / "env.json", environment(run.seed, run.device))
    network = paired_network(settings, run.variant, run.seed, *counts)
    network = network.to(memory_format=torch.channels_last)  # a tenth faster, on CPU and GPU
    task = kind.task(network, settings.loss_weight(run.variant), _course(run))
    pace = Pace(report, settings.budget)
    with _quiet():
        trainer = _fit(task, kind.training_data(run.seed), run, pace)
        trainer.validate(task, kind.validation_data(), verbose=False)
    results = {
        "command": "compare",
        **kind.keep(task, folder),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "steps": trainer.global_step,
        "seconds": pace.seconds,
        "seconds_per_step": median(task.step_seconds),
        "scores": {"val": task.scores["val"]},
        "aliasing": kind.aliasing(network.eval().to(run.device), run.device),
    }
    write_json(folder / "metrics.json", results)


def check_network(settings: CompareSettings, variant: Variant) -> None:
    """Build the network of a variant, without pretrained weights and for any classes, to see whether that works.

    Raises:
        ValueError: an architecture, backbone, fusion, prefilter, mixer, modulation or option is unknown or wrong.
    """
    _new_network(replace(settings, encoder_weights=None), variant, seed=0, classes=2)


def paired_network(
    settings: CompareSettings, variant: Variant, seed: int, classes: int, stuff: int = 0
) -> SegmentationModel | DetectionModel:
    """A new network, with the baseline's initial weights wherever both have a tensor of that name and shape.

    Args:
        settings: of the comparison.
        variant: whose network it is.
        seed: of the weights.
        classes: number of classes, or of things.
        stuff: number of stuff categories of a panoptic network.
    """
    first = settings.variants[0]
    baseline = _new_network(settings, first, seed, classes, stuff)
    if variant == first:
        return baseline
    network = _new_network(settings, variant, seed, classes, stuff)
    own = network.state_dict()
    shared = {
        key: value for key, value in baseline.state_dict().items() if key in own and own[key].shape == value.shape
    }
    network.load_state_dict({**own, **shared})
    return network


def _new_network(
    settings: CompareSettings, variant: Variant, seed: int, classes: int, stuff: int = 0
) -> SegmentationModel | DetectionModel:
    of_data: dict[str, Any] = {"stuff_classes": stuff} if stuff else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return create_model(
            settings.arch,
            settings.encoder,
            settings.encoder_weights,
            classes=classes,
            fusion=variant.fusion,
            prefilter=variant.prefilter,
            mixer=variant.mixer,
            modulation=variant.modulation,
            encoder_options=settings.encoder_options,
            **settings.options(variant),
            **settings.model_options,
            **of_data,
        )


def _course(run: Run) -> Course:
    settings = run.settings
    steps = settings.steps or BUDGET_STEPS
    optimizer = OptimizerSettings(
        "adamw", settings.lr, settings.weight_decay, factors={"fusion": settings.fusion_lr_factor}
    )
    schedule = ScheduleSettings("cosine", warmup_steps=round(settings.warmup * steps))
    return Course(optimizer, schedule, run.seed)


def _fit(task: NetworkTask, data: PairedData, run: Run, pace: Pace) -> Trainer:
    device = torch.device(run.device)
    trainer = Trainer(
        accelerator=device.type,
        devices=1 if device.index is None else [device.index],
        max_steps=run.settings.steps or BUDGET_STEPS,
        gradient_clip_val=run.settings.clip,
        log_every_n_steps=_LOG_EVERY,
        logger=HistoryLogger(run.directory),
        callbacks=[pace],
        plugins=[AtomicCheckpointIO()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(task, data)
    trainer.save_checkpoint(checkpoint_path(run.directory, "last"), weights_only=True)
    return trainer


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's notes on devices and loaders off the terminal, where the progress is, and Ctrl-C what it is."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        try:
            yield
        except SystemExit as stop:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from stop
        finally:
            logger.setLevel(level)
