# SPDX-License-Identifier: Apache-2.0
"""The demo: a comparison on synthetic scenes in minutes, and the diagnostics that show where its differences lie."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from dealias._files import replacing, write_json, write_text
from dealias.analysis import FILTERS, folded_power, kept_band
from dealias.report.comparison import Comparison, compare_runs
from dealias.report.folding import render_folding
from dealias.report.html import write_report
from dealias.report.outcome import read_results, run_result
from dealias.report.table import build_table, to_csv, to_markdown, to_rich

from .board import run_on_board, say
from .compare import Execution, compare
from .diagnostics import CHANGES, RECALLS, Diagnosis, diagnose
from .settings import CompareSettings, Run, plan_runs


@dataclass(frozen=True)
class Demo:
    """What the demo does.

    Attributes:
        settings: of the comparison.
        pole_scenes: validation scenes on which the recall of poles is measured.
        shift_scenes: scenes that are moved.
    """

    settings: CompareSettings
    pole_scenes: int
    shift_scenes: int


def recipe(seeds: int, steps: int, data: str) -> CompareSettings:
    """The demo's training: a slim ResNet and a pyramid of 64 channels, small enough for a few hundred steps on a CPU.

    The learning rate is high because the training is short, and a quarter of it for the fusions, some of which diverge
    otherwise. The boundary band is 3 px wide: the published 15 px would cover most of a 128 px image.
    """
    return CompareSettings(
        fusions=("bilinear", "carafe", "freqfusion"),
        seeds=seeds,
        data=data,
        arch="fpn",
        encoder="resnet10t",
        encoder_options={"channels": [32, 64, 128, 256], "stem_width": 16, "stem_type": "deep", "avg_down": False},
        model_options={"decoder_channels": 64, "dropout": 0.0},
        steps=steps,
        lr=6e-3,
        band=3,
    )


FULL = Demo(recipe(seeds=3, steps=400, data="scenes"), pole_scenes=320, shift_scenes=64)
QUICK = Demo(recipe(seeds=1, steps=60, data="scenes:160/48"), pole_scenes=48, shift_scenes=16)


def demo(plan: Demo, execution: Execution, console: Console) -> Comparison:
    """Compare, diagnose every run, draw the panel of folded power, and say what was written where.

    Args:
        plan: what to do.
        execution: where and how; with ``resume`` finished runs and diagnoses are kept.
        console: to print on.

    Returns:
        The comparison of the diagnostics.

    Raises:
        ValueError: as :func:`dealias.experiments.compare.compare`; so the other errors.
    """
    compare(plan.settings, execution, console)
    runs = plan_runs(plan.settings, execution.out, execution.device)
    diagnoses = [Diagnosis(run, plan.pole_scenes, plan.shift_scenes) for run in runs]
    missing = [diagnosis for diagnosis in diagnoses if not diagnosis.file.is_file()]
    say(console, f"Diagnosing {len(missing)} of {len(runs)} networks: recall of poles by width, change under shifts")
    run_on_board(diagnose, missing, execution.crew(len(missing)), console, lambda done: f"{done.name}: diagnosed")
    comparison = write_diagnostics(execution.out, runs, plan.settings)
    write_folding(execution.out)
    write_report([execution.out], execution.out / "report.html")
    table = build_table(comparison, cost=False)
    console.print(to_rich(table, "recall of poles by width; change of logits and labels under shifts"))
    _print_files(execution.out, console)
    return comparison


def write_diagnostics(out: Path, runs: list[Run], settings: CompareSettings) -> Comparison:
    """Compare the diagnostics of the runs; write ``diagnostics.json``, ``.md`` and ``.csv`` into ``out``."""
    results = [
        run_result(run.variant.name, run.seed, read_results(run.directory), _read(Diagnosis(run, 0, 0).file))
        for run in runs
    ]
    comparison = compare_runs(results, [variant.name for variant in settings.variants], (*RECALLS, *CHANGES))
    write_json(out / "diagnostics.json", comparison.to_dict())
    write_text(out / "diagnostics.md", to_markdown(build_table(comparison, cost=False)))
    write_text(out / "diagnostics.csv", to_csv(comparison))
    return comparison


def write_folding(out: Path) -> None:
    """Write ``folding.png``, the zone plate through each filter, and ``folding.json`` with its numbers at stride 2."""
    numbers = {name: {"folded": folded_power(f), "kept": kept_band(f)} for name, f in FILTERS.items()}
    write_json(out / "folding.json", {"stride": 2, "filters": numbers})
    with replacing(out / "folding.png") as path:
        render_folding().save(path, format="PNG")


def _read(file: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _print_files(out: Path, console: Console) -> None:
    say(console, f"Written to {out}:")
    for files, what in (
        ("report.html", "all of this on one page"),
        ("comparison.md, .csv, .json", "scores, with differences paired by seed"),
        ("gallery.png", "images, truth, predictions and what changed"),
        ("diagnostics.md, .csv, .json", "recall of poles by width, change under shifts"),
        ("folding.png, .json", "what folds at a strided layer"),
        ("runs/", "scores, curves, pictures, checkpoint of each"),
    ):
        say(console, f"  {files:29}{what}")
