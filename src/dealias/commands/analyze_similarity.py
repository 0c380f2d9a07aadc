# SPDX-License-Identifier: Apache-2.0
"""``dealias analyze --similarity``: how well features keep classes apart near edges, before and after fusions."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from dealias.analysis import MapSimilarity
from dealias.evaluation.console import say
from dealias.report.html import write_report
from dealias.report.html.analyses import container
from dealias.report.html.similarity.rows import QUANTITIES, cells
from dealias.similarity import SIMILARITY_FILE, measure_similarity, save_features, write_similarity
from dealias.train.run_directory import new_run_directory

from .analyze import Task, pair

FILE, WHAT = SIMILARITY_FILE, "a similarity analysis"

_SHOWN = 3
"""Columns of the report's table that are shown here."""


def analyze(task: Task, console: Console) -> None:
    """Measure, write the files and show the maps."""
    args, subject, images, size = task.args, task.subject, task.images, task.size
    options = {"layers": args.layers, "grid": pair(args.grid, "--grid"), "band": args.band, "size": size}
    with task.progress() as move:
        analysis = measure_similarity(subject, images, **options, on_progress=move)
    out = args.out or new_run_directory("analyze")
    pictures = save_features(out, subject, images, analysis.maps, samples=args.samples, layers=args.maps, size=size)
    write_similarity(out, analysis, subject=subject, images=images, pictures=pictures, description=task.describe())
    write_report([out], out / "report.html")
    _show(console, analysis.maps)
    if analysis.unused:
        say(console, f"Not measured: no image passed {', '.join(analysis.unused)}")
    say(console, f"In {out}: report.html, {FILE}{', pictures/' if pictures else ''}")


def _show(console: Console, maps: Sequence[MapSimilarity]) -> None:
    within = container([found.layer for found in maps])
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(f"layer in {within.removesuffix('.')}" if within else "layer", overflow="fold")
    table.add_column("map")
    for quantity in QUANTITIES[:_SHOWN]:
        table.add_column(quantity.name, justify="right", no_wrap=True)
    for found in maps:
        numbers = cells(found.before, found.after)[:_SHOWN]
        changes = [f"{cell.before} → {cell.after}" if cell.before else cell.after for cell in numbers]
        table.add_row(found.layer.removeprefix(within), found.map, *changes)
    console.print(table)
