# SPDX-License-Identifier: Apache-2.0
"""``dealias analyze``: where in a network, and where in images, aliasing arises."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from dealias.aliasing import ANALYSIS_FILE, measure_network, save_maps, write_analysis
from dealias.analysis import LayerAliasing
from dealias.evaluation.console import say
from dealias.report.html import write_report
from dealias.train.run_directory import new_run_directory

from .analyze import Task

FILE, WHAT = ANALYSIS_FILE, "an analysis"


def analyze(task: Task, console: Console) -> None:
    """Measure, write the files and show the layers."""
    args, subject, images, size = task.args, task.subject, task.images, task.size
    with task.progress() as move:
        analysis = measure_network(subject, images, size=size, layers=args.layers, band=args.band, on_progress=move)
    out = args.out or new_run_directory("analyze")
    losing = [layer.name for layer in analysis.losing]
    pictures = save_maps(out, subject, images, losing, samples=args.samples, sizes=args.maps, size=size)
    write_analysis(out, analysis, subject=subject, images=images, pictures=pictures, description=task.describe())
    write_report([out], out / "report.html")
    _show(console, analysis.layers)
    for names, what in ((analysis.unused, "no image passed"), (analysis.unmeasured, "no layer makes maps smaller in")):
        if names:
            say(console, f"Not measured: {what} {', '.join(names)}")
    say(console, f"In {out}: report.html, {FILE}{', pictures/' if pictures else ''}")


def _show(console: Console, layers: Sequence[LayerAliasing]) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for heading in ("layer", "kind"):
        table.add_column(heading, overflow="fold")
    for heading in ("stride", "channels", "Nyquist", "score %"):
        table.add_column(heading, justify="right")
    for layer in layers:
        spread = f" ± {100 * layer.score_std:.1f}" if layer.images > 1 else ""
        channels = f"{layer.in_channels}→{layer.out_channels}"
        numbers = (str(layer.stride), channels, f"{layer.nyquist:.3f}", f"{100 * layer.score:.1f}{spread}")
        table.add_row(layer.name, layer.kind, *numbers)
    console.print(table)
