# SPDX-License-Identifier: Apache-2.0
"""``dealias compare --complexity``: what fusions cost, without training; importing this loads nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dealias.commands.values import image_size

if TYPE_CHECKING:
    from dealias.complexity import FusionTable

_RESULT_FILE = "complexity.json"


def add_complexity(group: Any) -> None:
    """Declare ``--complexity`` and what belongs to it."""
    text = (
        "train nothing: compare what the fusions cost in a feature pyramid of 256 channels, as tables of papers do; "
        "besides these, --fusion, --fusion-options, --out and --device count"
    )
    group.add_argument("--complexity", action="store_true", help=text)
    add_measuring(group, "image whose pyramid is fused")


def add_measuring(group: Any, image: str) -> None:
    """Declare the size of the ``image`` and how often is measured."""
    text = f"height and width of the {image}, in pixels (default: 512x512)"
    group.add_argument("--size", type=image_size, default=(512, 512), metavar="HxW", help=text)
    text = "calls whose median time is shown; 0: measure no time (default: 3)"
    group.add_argument("--runs", type=int, default=3, metavar="N", help=text)


def run_complexity(args: argparse.Namespace) -> int:
    """Measure the fusions, show the table and write it; the exit code."""
    from rich.console import Console

    from dealias._device import choose_device
    from dealias.complexity import measure_fusions, silence_profiler
    from dealias.evaluation.console import progress_bar
    from dealias.fusion import list_fusions

    if args.out is not None and (args.out / _RESULT_FILE).exists():
        raise ValueError(f"{args.out / _RESULT_FILE} exists already; choose another --out, or delete it")
    device, names = choose_device(args.device), args.fusion or list_fusions()
    silence_profiler()
    with progress_bar(Console(stderr=True), "fusions") as move:
        table = measure_fusions(names, args.size, device, args.runs, args.fusion_options, move)
    _write(table, device, args.out)
    return 0


def _write(table: FusionTable, device: str, out: Path | None) -> None:
    from rich.console import Console

    from dealias._files import write_json, write_text
    from dealias.complexity.table import fusion_sheet, to_csv, to_markdown, to_rich
    from dealias.evaluation.console import say
    from dealias.train.run_directory import environment, new_run_directory

    facts = environment(device=device)
    sheet = fusion_sheet(table, facts)
    console = Console()
    console.print(to_rich(sheet))
    out = out or new_run_directory("complexity")
    write_text(out / "complexity.md", to_markdown(sheet))
    write_text(out / "complexity.csv", to_csv(table))
    result = {"format": "dealias fusion complexity", "version": 1, **table.to_dict(), "environment": facts}
    write_json(out / _RESULT_FILE, result)
    say(console, f"In {out}: complexity.md, .csv, .json")
