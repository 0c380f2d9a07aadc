# SPDX-License-Identifier: Apache-2.0
"""Costs as tables: for the terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from .fusions import CHANNELS, FusionCost, FusionTable, pyramid
from .measure import Complexity, Cost
from .published import NOTES, PAPER

MACS = "MACs: multiply-adds, what papers print as FLOPs; torch's FlopCounterMode counts two FLOPs for each."
COUNTED = (
    "Counted are convolutions, matrix products, attention, reassembly, similarities and bilinear sampling; norms, "
    "activations, softmax, pooling and sums are not."
)
KEPT = "kept: for the backward pass, beside weights and inputs, normalisation and dropout as in evaluation."

_COST_TITLES = ("MACs G", "peak MiB", "kept MiB", "ms")
_UNKNOWN = "\N{EN DASH}"
_AGREES, _DIFFERS = "=", "\N{NOT EQUAL TO}"


@dataclass(frozen=True)
class Sheet:
    """Header, rows and the sentences below, in which every format agrees; all columns but the first are numbers."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def network_sheet(name: str, complexity: Complexity, environment: dict[str, Any]) -> Sheet:
    """Every part of a network, inner ones indented.

    Args:
        name: of the network.
        complexity: its costs.
        environment: with what it ran: at least ``device``, ``threads`` and ``versions``.
    """
    header = ("part", "parameters", "MACs G", "FLOPs G", *_COST_TITLES[1:])
    rows = []
    for part, cost in complexity.parts:
        flops = _short(cost.flops / 1e9)
        macs, *others = _cost_cells(cost)
        rows.append(("  " * part.level + part.name, f"{cost.parameters:,}", macs, flops, *others))
    notes = [
        f"{MACS} {COUNTED}",
        "peak: the most that a forward pass without gradients holds at once, beside weights and image; of a part, "
        "beside what was held when it began.",
        f"{KEPT} Inner parts are contained in outer ones.",
        _timing(complexity.runs, environment),
    ]
    if any(part.name == "auxiliary" for part, _ in complexity.parts):
        notes.append("auxiliary works in training only: of its costs, only the parameters are in the network's.")
    shape = " x ".join(map(str, complexity.shape))
    return Sheet(f"{name}, images {shape}, float32", header, tuple(rows), tuple(notes))


def fusion_sheet(table: FusionTable, environment: dict[str, Any]) -> Sheet:
    """A row for each fusion, with the published number of parameters beside ours.

    Args:
        table: the costs.
        environment: with what it ran: at least ``device``, ``threads`` and ``versions``.
    """
    fine, coarse = (f"{height} x {width}" for height, width in pyramid(table.size)[:2])
    height, width = table.size
    rows = [
        (cost.name, f"{cost.parameters:,}", _published(cost), _short(cost.macs / 1e9), *_cost_cells(cost.finest)[1:])
        for cost in table.costs
    ]
    notes = [
        f"parameters and MACs: of three fusions, between four levels of {CHANNELS} channels, for an image of "
        f"{height} x {width}; peak, kept and ms: of the finest one, {coarse} to {fine}.",
        f"published: parameters as printed in {PAPER}; {_AGREES} is what ours round to, {_DIFFERS} is not.",
        f"{MACS} {COUNTED}",
        f"peak: the most that a call without gradients holds at once, beside weights and inputs. {KEPT}",
        _timing(table.runs, environment),
    ]
    differing = [cost.name for cost in table.costs if cost.agrees is False and cost.name in NOTES]
    notes += [f"{name}: {NOTES[name]}." for name in differing]
    header = ("fusion", "parameters", "published", *_COST_TITLES)
    return Sheet("Fusions in a feature pyramid", header, tuple(rows), tuple(notes))


def to_rich(sheet: Sheet) -> RichTable:
    """The table for a terminal of 80 columns."""
    rich = RichTable(title=sheet.title, caption="\n".join(sheet.notes), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    rich.title_justify = rich.caption_justify = "left"
    rich.pad_edge = False
    for position, name in enumerate(sheet.header):
        rich.add_column(name.replace(" ", "\n"), justify="right" if position else "left", overflow="fold")
    for row in sheet.rows:
        rich.add_row(*map(Text, row))
    return rich


def to_markdown(sheet: Sheet) -> str:
    """A GitHub table, numbers to the right, with the notes below."""
    lines = [sheet.header, (":--", *["--:"] * (len(sheet.header) - 1)), *sheet.rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join([f"# {sheet.title}", table, *sheet.notes]) + "\n"


def to_csv(table: FusionTable) -> str:
    """One line for each fusion, in full precision; empty where there is no value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    cost_names = ("macs", "flops", "peak_bytes", "kept_bytes", "seconds")
    names = ("name", "parameters", "macs", "flops", "published_parameters", "agrees")
    writer.writerow([*names, *(f"finest_{name}" for name in cost_names)])
    for cost in table.costs:
        values, finest = cost.to_dict(), cost.finest.to_dict()
        writer.writerow([*(values[name] for name in names), *(finest[name] for name in cost_names)])
    return text.getvalue()


def _cost_cells(cost: Cost) -> Sequence[str]:
    milliseconds = _UNKNOWN if cost.seconds is None else _short(1000 * cost.seconds)
    return _short(cost.macs / 1e9), _short(cost.peak_bytes / 2**20), _short(cost.kept_bytes / 2**20), milliseconds


def _published(cost: FusionCost) -> str:
    if cost.published is None:
        return ""
    return f"{_AGREES if cost.agrees else _DIFFERS} {cost.published}"


def _timing(runs: int, environment: dict[str, Any]) -> str:
    threads = environment["threads"]
    where = f"{environment['device']}, {threads} thread{'s' * (threads != 1)}, torch {environment['versions']['torch']}"
    if not runs:
        return f"On {where}; no time was measured."
    return f"ms: median of {runs} call{'s' * (runs != 1)} without gradients, on {where}."


def _short(value: float) -> str:
    """Three digits or more, no exponent.

    >>> [_short(value) for value in (0, 0.01234, 1.5, 298.6, 31160)]
    ['0', '0.0123', '1.50', '299', '31,160']
    """
    if value == 0:
        return "0"
    decimals = 2 - math.floor(math.log10(abs(value)))
    return f"{value:,.{min(4, max(0, decimals))}f}"
