# SPDX-License-Identifier: Apache-2.0
"""Which task the arguments of ``dealias fit`` and its kin are for: the parser to read them with depends on it."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from dealias._documents import read_yaml

DEFAULT_TASK = "segmentation"

TASK_NAMES = (DEFAULT_TASK, "classification", "objects")
"""The keys of :data:`dealias.train.tasks.TASKS`, known without loading them."""


def choose_task(arguments: Sequence[str]) -> str:
    """The task that ``--task`` or a configuration file names; segmentation otherwise.

    Args:
        arguments: what follows the command.

    Raises:
        ValueError: the task is unknown, or a configuration is refused by :func:`dealias._documents.read_yaml`.

    >>> choose_task(["--task", "classification", "--model.label_smoothing", "0.1"]), choose_task([])
    ('classification', 'segmentation')
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--task")
    parser.add_argument("-c", "--config", action="append", nargs="?", default=[])
    found, _ = parser.parse_known_args(list(arguments))
    task = found.task or next(filter(None, map(_task_in, filter(None, reversed(found.config)))), DEFAULT_TASK)
    if task not in TASK_NAMES:
        raise ValueError(f"unknown task {task!r}; known: {', '.join(TASK_NAMES)}")
    return task


def _task_in(file: str) -> str | None:
    """The task that a configuration names; None too for what is no file, which the parser will tell."""
    if not Path(file).is_file():
        return None
    content = read_yaml(file)
    return content.get("task") if isinstance(content, dict) else None
