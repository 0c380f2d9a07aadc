# SPDX-License-Identifier: Apache-2.0
"""How cost grows with pixels, channels and batch: ``python benchmarks/growth.py``, part of ``make bench``.

Writes ``growth--<device>.json`` and a plot beside it. Time is that of a forward and a backward pass; the exponent p of
time ~ size ** p is fitted to all sizes, 1 being linear.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from dealias.fusion import FreqFusion
from dealias.ops import reassemble_softmax
from measure import Call, peak_extra_bytes, take_turns
from problem import random
from results import record

SIDES, CHANNELS, BATCHES = (48, 64, 96, 128, 192), (32, 64, 128, 256, 512), (1, 2, 4, 8)
"""Of the result in pixels, at 64 channels; of both maps, at 64 x 64; of samples, of 64 channels at 64 x 64."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="How the cost of dealias grows with pixels, channels and batch.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=1.5, help="time for each point (default: 1.5)")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # see run.py
    curves = [
        measure_curve(name, axis, device, options.seconds)
        for name in ("CARAFE", "FreqFusion")
        for axis in ("pixels", "channels", "batch")
    ]
    Console(highlight=False, width=None if sys.stdout.isatty() else 120).print(as_table(curves))
    path = record("growth", device, {"curves": curves})
    plot(curves, path.with_suffix(".png"))
    print(f"wrote {path.name} and its plot to {path.parent}")


def measure_curve(name: str, axis: str, device: torch.device, seconds: float) -> dict[str, Any]:
    points = []
    for size, (batch, channels, side) in cases(axis):
        call = (carafe if name == "CARAFE" else freqfusion)(device, batch, channels, side)
        times = take_turns({name: call}, device, seconds)[name]
        points.append({"size": size, "seconds": median(times), "peak_extra_bytes": peak_extra_bytes(call, device)})
    return {
        "name": name,
        "axis": axis,
        "points": points,
        "time_exponent": exponent(points, "seconds"),
        "memory_exponent": exponent(points, "peak_extra_bytes"),
    }


def cases(axis: str) -> Iterable[tuple[int, tuple[int, int, int]]]:
    """The size along an axis, and (batch, channels, side)."""
    if axis == "pixels":
        return [(side**2, (1, 64, side)) for side in SIDES]
    if axis == "channels":
        return [(channels, (1, channels, 64)) for channels in CHANNELS]
    return [(batch, (batch, 64, 64)) for batch in BATCHES]


def carafe(device: torch.device, batch: int, channels: int, side: int) -> Call:
    x = random(device, batch, channels, side // 2, side // 2).requires_grad_()
    logits = random(device, batch, 25, side, side).requires_grad_()
    return partial(there_and_back, lambda: (reassemble_softmax(x, logits, 5, scale=2),), (x, logits))


def freqfusion(device: torch.device, batch: int, channels: int, side: int) -> Call:
    torch.manual_seed(0)
    module = FreqFusion(channels, channels).to(device)
    hr = random(device, batch, channels, side, side).requires_grad_()
    lr = random(device, batch, channels, side // 2, side // 2).requires_grad_()
    return partial(there_and_back, lambda: module(hr, lr), (hr, lr, *module.parameters()))


def there_and_back(form: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    outputs = form()
    return torch.autograd.grad(outputs, inputs, [torch.ones_like(output) for output in outputs])


def exponent(points: list[dict[str, Any]], what: str) -> float:
    """The slope of the straight line through the logarithms."""
    size, value = (torch.tensor([p[key] for p in points], dtype=torch.float64).log() for key in ("size", what))
    size, value = size - size.mean(), value - value.mean()
    return float((size * value).sum() / size.square().sum())


def as_table(curves: list[dict[str, Any]]) -> Table:
    table = Table(title="growth: forward and backward", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("what")
    table.add_column("along")
    for column in ("from - to", "ms", "peak extra MiB", "time exponent", "memory exponent"):
        table.add_column(column, justify="right")
    for curve in curves:
        first, last = curve["points"][0], curve["points"][-1]
        table.add_row(
            curve["name"],
            curve["axis"],
            f"{first['size']} - {last['size']}",
            f"{first['seconds'] * 1e3:.1f} - {last['seconds'] * 1e3:.1f}",
            f"{first['peak_extra_bytes'] / 2**20:.1f} - {last['peak_extra_bytes'] / 2**20:.1f}",
            f"{curve['time_exponent']:.2f}",
            f"{curve['memory_exponent']:.2f}",
        )
    return table


def plot(curves: list[dict[str, Any]], path: Path) -> None:
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained", sharey=True)
    for axis, panel in zip(("pixels", "channels", "batch"), panels, strict=True):
        for curve in (curve for curve in curves if curve["axis"] == axis):
            sizes, times = ([p[key] for p in curve["points"]] for key in ("size", "seconds"))
            (line,) = panel.loglog(sizes, [t * 1e3 for t in times], marker="o", label=curve["name"])
            linear = [times[-1] * size / sizes[-1] * 1e3 for size in sizes]
            panel.loglog(sizes, linear, ":", color=line.get_color(), label=f"linear, {curve['name']}")
        panel.set_xlabel({"pixels": "pixels of the result", "channels": "channels", "batch": "samples"}[axis])
        panel.set_xticks(sizes, [str(size) for size in sizes], fontsize=8)
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("forward and backward, ms")
    panels[0].legend(fontsize=7)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
