# SPDX-License-Identifier: Apache-2.0
"""``dealias info``: what a network costs, and with what dealias runs here; importing this loads nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dealias.commands.complexity import add_measuring
from dealias.commands.network import add_network, open_network

if TYPE_CHECKING:
    from rich.console import Console

_DESCRIPTION = """\
Show what a network costs, as a whole and by its parts: parameters, multiply-adds, the most memory that a forward pass
holds, the memory that it keeps for the backward pass, and its time. The network is run a few times on noise.

MODEL is an architecture (see dealias list) or the checkpoint of a dealias run, such as runs/NAME/checkpoints/best.ckpt,
or a model file of dealias convert.

Papers mostly print multiply-adds as "FLOPs"; torch counts two FLOPs for each. Both are shown, under these names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", nargs="?", metavar="MODEL", help="architecture, or checkpoint file")
    text = "show versions, device, threads and what computes the operators of dealias"
    parser.add_argument("--system", action="store_true", help=text)
    add_network(parser)
    measuring = parser.add_argument_group("measuring")
    add_measuring(measuring, "images")
    measuring.add_argument("--batch", type=int, default=1, metavar="N", help="images at once (default: 1)")
    text = "cpu, cuda, cuda:1, ... (default: a GPU if there is one)"
    measuring.add_argument("--device", default="auto", metavar="D", help=text)
    measuring.add_argument("--json", type=Path, metavar="FILE", help="write all numbers to this file, too")


def run(args: argparse.Namespace) -> int:
    """Show what the arguments ask for; the exit code."""
    from rich.console import Console

    from dealias._device import choose_device
    from dealias._files import write_json
    from dealias.evaluation.console import say

    if args.model is None and not args.system:
        raise ValueError("give a MODEL, or --system; dealias list shows the architectures")
    device, console = choose_device(args.device), Console()
    result: dict[str, Any] = {"format": "dealias info", "version": 1}
    if args.system:
        result["system"] = _show_system(console, device)
    if args.model is not None:
        result |= _show_network(console, args, device)
    if args.json is not None:
        write_json(args.json, result)
        say(console, f"Wrote {args.json}")
    return 0


def _show_network(console: Console, args: argparse.Namespace, device: str) -> dict[str, Any]:
    import torch
    from rich.console import Console

    from dealias.complexity import measure_network, silence_profiler
    from dealias.complexity.table import network_sheet, to_rich
    from dealias.evaluation.console import progress_bar
    from dealias.train.run_directory import environment

    network, _ = open_network(args.model, args)
    if args.batch < 1:
        raise ValueError(f"--batch must be at least 1, got {args.batch}")
    images = torch.randn(args.batch, network.config["in_channels"], *args.size)
    silence_profiler()
    with progress_bar(Console(stderr=True), "measurements") as move:
        complexity = measure_network(network.to(device), images.to(device), args.runs, move)
    facts = environment(device=device)
    console.print(to_rich(network_sheet(_name(network.config), complexity, facts)))
    return {"network": network.config, **complexity.to_dict(), "environment": facts}


def _show_system(console: Console, device: str) -> dict[str, Any]:
    from rich import box
    from rich.table import Table

    from dealias.complexity.system import describe_system

    facts = describe_system(device)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_header=False)
    for name, version in facts["versions"].items():
        table.add_row(name, version)
    for name in ("revision", "system", "instructions", "device", "cpus", "threads"):
        table.add_row(name, str(facts[name] or "unknown"))
    table.add_row("GPUs", ", ".join(facts["gpus"]) or "none")
    console.print(table)
    backends = Table("operator", "computed by", "because", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for backend in facts["backends"]:
        backends.add_row(backend["operator"], backend["backend"], backend["reason"])
    console.print(backends)
    return facts


def _name(config: Mapping[str, Any]) -> str:
    """A name for a network: the arguments of ``create_model`` that tell it from others."""
    parts = [config.get(key) for key in ("fusion", "prefilter", "mixer", "modulation")]
    return ", ".join([f"{config['arch']} with {config['encoder_name']}", *(part for part in parts if part)])
