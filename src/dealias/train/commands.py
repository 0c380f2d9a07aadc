# SPDX-License-Identifier: Apache-2.0
"""Run ``dealias fit | validate | test | predict`` and say in one line what came of it."""

import logging
import warnings

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dealias.report.html import write_report
from dealias.report.html.sources import REPORTED_TASKS
from dealias.robustness import Robustness
from dealias.train.lightning_cli import TrainingCLI

_FILES = (
    *("report.html", "config.yaml", "env.json", "metrics.csv", "metrics.json"),
    *("images_val.csv", "images_test.csv", "robustness.json", "robustness.csv", "predictions.csv"),
    *("objects.json", "coco_boxes.json", "coco_masks.json", "coco_panoptic.json", "panoptic", "overlays"),
    *("pictures", "labels", "checkpoints"),
)

_EXPECTED_WARNINGS = (
    r"LightningCLI's args parameter",  # dealias.cli has read the arguments from sys.argv
    r"The '\w+_dataloader' does not have many workers",  # their number is the user's choice
    r"The number of training batches \(\d+\) is smaller than the logging interval",
    r"Checkpoint directory .* exists and is not empty",  # that of the run which is resumed
    r"Be aware that when using `ckpt_path`, callbacks",  # those that keep checkpoints are needed to fit only
    r"It is recommended to use .* when logging on epoch level",  # the scores are the same in all processes
    r".*LeafSpec.* is deprecated",  # within Lightning
)


def run_training_command(command: str, arguments: list[str]) -> int:
    """Run a subcommand of :class:`dealias.train.lightning_cli.TrainingCLI`, which lists its errors.

    Args:
        command: ``"fit"``, ``"validate"``, ``"test"`` or ``"predict"``.
        arguments: what follows it on the command line.

    Returns:
        The exit code, 0.

    Raises:
        ValueError: also for options that Lightning refuses.
    """
    for logger in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(logger).setLevel(logging.WARNING)  # notes on devices, and advertisements
    for message in _EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    try:
        cli = TrainingCLI([command, *arguments])
    except MisconfigurationException as error:
        raise ValueError(str(error)) from error
    _summarise(cli)
    return 0


@rank_zero_only
def _summarise(cli: TrainingCLI) -> None:
    if cli.model.scores and cli.task_name in REPORTED_TASKS:
        write_report([cli.run_directory], cli.run_directory / "report.html")
    console = Console(highlight=False)
    if cli.robustness is not None and cli.robustness.result is not None:
        console.print(_table(cli.robustness.result))
    score = cli.model.score
    scores = [f"{stage} {score} {100 * values[score]:.2f} %" for stage, values in cli.model.scores.items()]
    written = [name for name in _FILES if (cli.run_directory / name).exists()]
    text = f"{', '.join([f'{cli.subcommand} done', *scores])}; wrote {', '.join(written)} in {cli.run_directory}"
    console.print(escape(text), soft_wrap=True)


def _table(result: Robustness) -> Table:
    """Scores in percent, one row per attack."""
    table = Table("attack", "epsilon", *(f"{name} (%)" for name in result.trials[0].scores))
    for trial in result.trials:
        table.add_row(trial.attack, f"{trial.epsilon:g}", *(f"{100 * score:.2f}" for score in trial.scores.values()))
    return table
