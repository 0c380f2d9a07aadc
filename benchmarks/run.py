# SPDX-License-Identifier: Apache-2.0
"""Measure every case on every device there is: ``make bench``, or ``python benchmarks/run.py --help``.

A case is timed only after its forms agreed; see README.md beside this file for what the columns mean.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from cases import CASES
from measure import copy_bandwidth
from problem import OURS
from results import circumstances, device_name, record, results_path
from rows import FormsDiffer, measure_case


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler, which counts memory, otherwise writes to stderr
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # float32 means float32
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    failed = False
    for name in [options.device] if options.device else ["cpu", "cuda"]:
        if name == "cuda" and not torch.cuda.is_available():
            console.print("\n[bold]cuda[/bold]: not measured, there is no CUDA device")
            failed = failed or options.device == "cuda"
        elif not measure_device(torch.device(name), options, console):
            failed = True
    console.print(
        "\nmedian ms, peak extra MiB: dealias / the other form; the rest of dealias alone. See benchmarks/README.md."
    )
    return int(failed)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Speed and memory of dealias against plain forms of its functions.")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: both, where there is a GPU")
    parser.add_argument("--area", choices=sorted({case.area for case in CASES}), help="default: all")
    parser.add_argument("--seconds", type=float, default=4, help="time for each row of the table (default: 4)")
    parser.add_argument("--missing", action="store_true", help="skip areas that this device has results for")
    return parser.parse_args(arguments)


def measure_device(device: torch.device, options: argparse.Namespace, console: Console) -> bool:
    """Measure, print and record the chosen areas; whether all forms agreed."""
    around = circumstances(device)
    bandwidth = copy_bandwidth(device)
    console.print(
        f"\n[bold]{device.type}[/bold]: {device_name(device)}, copies at {bandwidth / 1e9:.1f} GB/s (read + write)\n"
        f"torch {around['torch']}, {around['threads']} threads, float32 where no type is named, "
        f"THP_MEM_ALLOC_ENABLE {around['THP_MEM_ALLOC_ENABLE']}\n"
    )
    agreed = True
    for area, cases in groupby(CASES, key=lambda case: case.area):
        if options.area not in (None, area):
            continue
        if options.missing and results_path(area, device).exists():
            console.print(f"{area}: recorded already in {results_path(area, device).name}")
            continue
        try:
            rows = [row for case in cases for row in measure_case(case, device, options.seconds, bandwidth)]
        except FormsDiffer as difference:
            console.print(f"[red]{area}: not timed. {difference}[/red]")
            agreed = False
            continue
        for peer in sorted({peer for row in rows for peer in row["ratio"]}):
            console.print(as_table(area, peer, [row for row in rows if peer in row["ratio"]]))
        record(area, device, {"copy_bytes_per_second": bandwidth, "rows": rows})
    return agreed


def as_table(area: str, peer: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=f"{area} against {peer}", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in ("case", "direction"):
        table.add_column(column, no_wrap=True)
    added = any(row["times_plain"] for row in rows)
    numbers = ["times faster", "median ms", "peak extra MiB", "least MB", "of copy speed"]
    for column in [*numbers, "time added"] if added else numbers:
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        cells = [
            row["case"],
            row["direction"],
            "{median:.1f} ({lower_quartile:.1f} to {upper_quartile:.1f})".format_map(row["ratio"][peer]),
            " / ".join(f"{row['median_seconds'][name] * 1e3:.2f}" for name in (OURS, peer)),
            " / ".join(f"{row['peak_extra_bytes'][name] / 2**20:.1f}" for name in (OURS, peer)),
            f"{row['least_bytes'] / 1e6:.1f}",
            f"{row['share_of_copy_bandwidth']:.0%}",
        ]
        if added:
            cells.append(" / ".join(f"{row['times_plain'][name]['median'] - 1:.0%}" for name in (OURS, peer)))
        table.add_row(*cells)
    return table


if __name__ == "__main__":
    sys.exit(main())
