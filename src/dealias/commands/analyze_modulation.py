# SPDX-License-Identifier: Apache-2.0
"""``dealias analyze --modulation``: where modulations put samples, and what survives the strides after them."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from dealias.analysis import Spread, StageModulation
from dealias.evaluation.console import say
from dealias.report.html import write_report
from dealias.report.html.analyses import layers_around
from dealias.resampling import MODULATION_FILE, measure_modulation, save_stages, write_modulation
from dealias.train.run_directory import new_run_directory

from .analyze import Task

FILE, WHAT = MODULATION_FILE, "a modulation analysis"


def analyze(task: Task, console: Console) -> None:
    """Measure, write the files and show the stages."""
    args, subject, images, size = task.args, task.subject, task.images, task.size
    with task.progress() as move:
        analysis = measure_modulation(subject, images, band=args.band, size=size, on_progress=move)
    out = args.out or new_run_directory("analyze")
    pictures = save_stages(out, subject, images, analysis.stages, samples=args.samples, count=args.maps, size=size)
    write_modulation(out, analysis, subject=subject, images=images, pictures=pictures, description=task.describe())
    write_report([out], out / "report.html")
    _show(console, analysis.stages)
    say(console, f"In {out}: report.html, {FILE}{', pictures/' if pictures else ''}")


def _show(console: Console, stages: Sequence[StageModulation]) -> None:
    within, names = layers_around([stage.name for stage in stages])
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(f"stage in {within.removesuffix('.')}" if within else "stage", overflow="fold")
    for heading in ("beyond the limit, %", "lost, %", "moved, px", "density at boundaries"):
        table.add_column(heading, justify="right")
    for name, stage in zip(names, stages, strict=True):
        table.add_row(
            name,
            _change(stage.aliasing["before"], stage.aliasing["modulated"]),
            _change(stage.lost["plain"], stage.lost["demodulated"]),
            f"{stage.displacement.mean:.2f}",
            f"{stage.density.mean:.2f}" if stage.density.images else "",
        )
    console.print(table)


def _change(before: Spread, after: Spread) -> str:
    return f"{100 * before.mean:.1f} → {100 * after.mean:.1f}"
