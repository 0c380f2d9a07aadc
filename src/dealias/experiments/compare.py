# SPDX-License-Identifier: Apache-2.0
"""Train several variants of a network with paired seeds, side by side, and say what the differences are worth."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from rich.console import Console

from dealias._device import choose_device
from dealias._files import write_json, write_text
from dealias._processes import available_cores
from dealias.report.comparison import Comparison
from dealias.report.html import write_report
from dealias.report.outcome import GALLERY_FILE, read_results, write_outcome
from dealias.report.table import build_table, to_rich
from dealias.train.run_directory import environment, new_run_directory

from .board import run_on_board, say
from .kinds import complete, kind_of
from .pictures import take_pictures
from .run import check_network, train_run
from .settings import CONFIG_FILE, CompareSettings, Run, plan_runs


@dataclass(frozen=True)
class Execution:
    """Where and how runs are done.

    Attributes:
        out: folder of the comparison.
        resume: keep finished runs.
        device: of all runs.
        workers: processes; ``None``: one per core, on a GPU 1.
    """

    out: Path
    resume: bool = False
    device: str = "cpu"
    workers: int | None = None

    @classmethod
    def from_arguments(cls, args: argparse.Namespace, name: str) -> Execution:
        """What :func:`dealias.commands.compare.add_execution` declares.

        Raises:
            ValueError: ``--resume`` without ``--out``, fewer than one worker, or a GPU that is not there.
        """
        if args.resume and args.out is None:
            raise ValueError("--resume needs --out, the folder of the comparison to go on with")
        if args.workers is not None and args.workers < 1:
            raise ValueError(f"--workers must be at least 1, got {args.workers}")
        device = choose_device(args.device)
        return cls(args.out or new_run_directory(name), args.resume, device, args.workers)

    def crew(self, jobs: int) -> tuple[int, int]:
        """Number of worker processes for so many jobs, and threads of each: the cores are shared out evenly.

        ``OMP_NUM_THREADS`` limits the threads, as always.
        """
        cores = available_cores()
        workers = self.workers or (cores if torch.device(self.device).type == "cpu" else 1)
        workers = max(1, min(workers, jobs))
        return workers, max(1, min(cores // workers, torch.get_num_threads()))


def compare(settings: CompareSettings, execution: Execution, console: Console) -> Comparison:
    """Do the runs that are missing, write the comparison and print its table.

    Args:
        settings: what is compared.
        execution: where and how.
        console: to print on.

    Raises:
        ValueError: ``out`` holds a comparison that is not to be resumed, or runs with other settings; or the settings
            do not fit the data or the model.
        FloatingPointError: a loss became nan.
        RuntimeError: a run failed in another way.
        KeyboardInterrupt: the message says how to go on. Finished runs stay, whatever happens.
    """
    out = execution.out
    if (out / CONFIG_FILE).exists() and not execution.resume:
        raise ValueError(f"{out} holds a comparison already; go on with it by --resume, or choose another --out")
    settings = complete(settings)
    kind = kind_of(settings)
    for variant in settings.variants:
        check_network(settings, variant)
    runs = plan_runs(settings, out, execution.device)
    todo = [run for run in runs if not run.is_finished()]
    write_text(out / CONFIG_FILE, yaml.safe_dump(settings.to_dict(), sort_keys=False))
    env = environment(device=execution.device)
    write_json(out / "env.json", env)
    crew = execution.crew(len(todo))
    threads = f"{crew[1]} thread{'s' if crew[1] > 1 else ''} each"
    say(console, f"{len(todo)} of {len(runs)} runs to do, {crew[0]} at a time, {threads}, on {execution.device}")
    try:
        run_on_board(train_run, todo, crew, console, _describe)
        pictures = kind.missing_pictures(runs)
        run_on_board(take_pictures, pictures, execution.crew(1), console, lambda done: done.summary)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; go on with --resume --out {out}") from None
    folders = {v.name: [run.directory for run in runs if run.variant == v] for v in settings.variants}
    about = {"settings": settings.to_dict(), "environment": env}
    comparison, aliasing = write_outcome(out, folders, about, kind.columns)
    console.print(to_rich(build_table(comparison), _title(settings)))
    if aliasing is not None:
        console.print(
            to_rich(build_table(aliasing, cost=False), "aliasing at the inputs of the stages, by their stride")
        )
    write_report([out], out / "report.html")
    gallery = "gallery.png, " if (out / GALLERY_FILE).is_file() else ""
    say(console, f"In {out}: report.html, comparison.md, .csv, .json, {gallery}runs/")
    return comparison


def _describe(run: Run) -> str:
    results = read_results(run.directory)
    column, name = next(iter(kind_of(run.settings).columns.items()))
    score = results["scores"]["val"][name]
    percent = "undefined" if score is None else f"{100 * score:.1f}"
    return f"{run.name}: {column} {percent} after {results['steps']} steps in {results['seconds']:.0f} s"


def _title(settings: CompareSettings) -> str:
    length = f"{settings.steps} steps" if settings.budget is None else f"{settings.budget:g} s"
    light = " in low light" if settings.low_light else ""
    return f"{settings.arch} with {settings.encoder} on {settings.data}{light}, {length} per run"
