# SPDX-License-Identifier: Apache-2.0
"""``dealias export``: a network as a file that runs without dealias; importing this loads nothing heavy."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dealias.commands.network import add_network, open_network
from dealias.commands.values import image_size

if TYPE_CHECKING:
    from rich.console import Console

    from dealias.export import SizeCheck
    from dealias.models import SegmentationModel

_DESCRIPTION = """\
Write a segmentation network, in evaluation mode, to a file that runs without dealias: from images [B, 3, H, W], float32
and normalised, to logits [B, classes, H, W], for any batch and any height and width from 33 pixels. The file holds
standard operators alone, and what is known of the data: names of classes, mean and standard deviation of the images.

MODEL is an architecture (see dealias list), then with random weights; or the checkpoint of a dealias run, such as
runs/NAME/checkpoints/best.ckpt, or a model file of dealias convert.

FILE.onnx is for ONNX runtimes, FILE.pt2 a program for torch.export.load; with --format aoti, FILE.pt2 is compiled for
this kind of machine by a C++ compiler, for torch._inductor.aoti_load_package or C++. What is compiled takes heights and
widths that are multiples of 32, and does not notice others.

The file is run on several sizes and compared with the network in float32; it is written only if all logits agree."""

_SIZES, _EVEN_SIZES = ((64, 96), (97, 130), (161, 67)), ((64, 96), (96, 128), (160, 64))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", metavar="MODEL", help="architecture, checkpoint or model file")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="where to: FILE.onnx or FILE.pt2")
    text = "onnx, program or aoti (default: by the ending of FILE)"
    parser.add_argument("--format", metavar="NAME", help=text)
    text = "compute in float32 (default), float16 or bfloat16; images and logits stay float32"
    parser.add_argument("--dtype", default="float32", metavar="TYPE", help=text)
    check = parser.add_argument_group("check")
    text = "compare the file with the network (default: yes)"
    check.add_argument("--check", action=argparse.BooleanOptionalAction, default=True, help=text)
    sizes = ", ".join(f"{height}x{width}" for height, width in _SIZES)
    text = f"sizes to compare at, HEIGHTxWIDTH, in turn one image and two (default: {sizes})"
    check.add_argument("--sizes", nargs="+", type=image_size, metavar="SIZE", help=text)
    text = (
        "largest difference of logits that passes, as a share of the largest logit (default: 0.001, of float16 0.02, "
        "of bfloat16 0.1)"
    )
    check.add_argument("--tolerance", type=float, metavar="T", help=text)
    add_network(parser)


def run(args: argparse.Namespace) -> int:
    """Export as the arguments say; the exit code."""
    from rich.console import Console

    from dealias.evaluation.console import say
    from dealias.export import DTYPES, FORMATS, SMALLEST, format_of, trace, write_exported

    name = format_of(args.to, args.format)
    if args.dtype not in DTYPES:
        raise ValueError(f"unknown --dtype {args.dtype!r}; known: {', '.join(DTYPES)}")
    if DTYPES[args.dtype] not in FORMATS[name].dtypes:
        raise ValueError(f"the format {name} has no networks in {args.dtype}; take float16 or float32")
    multiple = FORMATS[name].multiple
    sizes = args.sizes or (_SIZES if multiple == 1 else _EVEN_SIZES)
    if any(min(size) < SMALLEST or any(side % multiple for side in size) for size in sizes):
        divided = f", and multiples of {multiple}" if multiple > 1 else ""
        raise ValueError(f"--sizes must be at least {SMALLEST} pixels high and wide{divided}, got {sizes}")
    network, data = open_network(args.model, args)
    console = Console()
    check = _checking(console, network, sizes, args) if args.check else None
    program = trace(network, DTYPES[args.dtype], multiple)
    write_exported(program, args.to, name, _metadata(network, data, args.dtype), check)
    size = args.to.stat().st_size / 2**20
    say(
        console, f"Wrote {args.to} ({size:.1f} MiB): {name}, computed in {args.dtype}{'' if check else ', not checked'}"
    )
    return 0


def _metadata(network: SegmentationModel, data: dict[str, Any], dtype: str) -> dict[str, str]:
    """What the file says of itself: JSON under one name."""
    import dealias

    about = {"version": dealias.__version__, "network": network.config, "dtype": dtype, "data": data}
    return {"dealias": json.dumps(about)}


def _checking(
    console: Console, network: SegmentationModel, sizes: Sequence[tuple[int, int]], args: argparse.Namespace
) -> Callable[[Any], None]:
    """What compares an exported network with the network, shows the result, and raises if they differ."""
    from dealias.export import DTYPES, check_sizes, tolerance_of

    tolerance = tolerance_of(DTYPES[args.dtype]) if args.tolerance is None else args.tolerance
    channels = network.config["in_channels"]
    shapes = [(1 + index % 2, channels, *size) for index, size in enumerate(sizes)]

    def check(exported: Any) -> None:
        results = list(check_sizes(exported, network.eval(), shapes, tolerance))
        _show(console, results)
        worst = [result for result in results if not result.passed]
        if worst:
            sizes = ", ".join(f"{r.shape[2]}x{r.shape[3]} by {r.difference:.2g}" for r in worst)
            raise ValueError(f"{args.to}: not written, its logits differ from the network's at {sizes}")

    return check


def _show(console: Console, results: Iterable[SizeCheck]) -> None:
    from rich import box
    from rich.table import Table

    titles = ("images", "largest logit", "largest difference", "pixels of the same class")
    table = Table(*titles, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for shape, largest, difference, agreement, passed in results:
        mark = "" if passed else " (too much)"
        sides = " x ".join(map(str, shape))
        table.add_row(sides, f"{largest:.3g}", f"{difference:.2g}{mark}", f"{100 * agreement:.3f} %")
    console.print(table)
