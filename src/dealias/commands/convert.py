# SPDX-License-Identifier: Apache-2.0
"""``dealias convert``: published checkpoints into model files; importing this loads nothing heavy."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from dealias.commands.values import mapping

if TYPE_CHECKING:
    from rich.console import Console

    from dealias.compat.conversion import Conversion

_DESCRIPTION = """\
Make a network of this library of a published checkpoint, and write it to a file that predict, evaluate, analyze and
info take in the place of a checkpoint. The layout is told by the names in the file. No code of the file runs; states of
training and objects in it are dropped.

Every tensor is accounted for: a table shows what was used, what was not needed and why, what has no place and what is
missing. A file with the latter two is an error, unless --partial is given.

Layouts: seg-aliasing (mmsegmentation's UPerNet with a ResNet of a deep stem, also with de-aliasing filters and
frequency mixing), segnext (also with FreqFusion), internimage, mmdet (Faster R-CNN, Mask R-CNN and Panoptic FPN, also
with FreqFusion's pyramid), mask2former (of detectron2, also with FreqFusion), and module (a file of one FreqFusion,
CARAFE, DySample, FreqMix or adaptive blur)."""

_EPILOG = """\
Options of the layouts are those of the functions dealias.compat.LAYOUT.plan:
  dealias convert upernet.pth --to upernet.safetensors --options '{"prefilter": "none"}'
  dealias convert panoptic.pth --to panoptic.safetensors --options '{"detector_options": {"min_size": 640}}'"""

_SHOWN = 20
"""Names of a kind that are printed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="the published file")
    text = "the file to write, which must not exist; its name ends in .safetensors"
    parser.add_argument("--to", type=Path, required=True, metavar="FILE", help=text)
    text = "layout of the checkpoint, see above (default: as its names tell)"
    parser.add_argument("--layout", "--arch", metavar="NAME", help=text)
    text = "what the checkpoint does not tell, as options of the layout"
    parser.add_argument("--options", type=mapping, default={}, metavar="JSON", help=text)
    parser.add_argument("--partial", action="store_true", help="take what fits, leave the rest random")
    images = parser.add_argument_group("images of the published network")
    text = "channels came in the order blue, green, red; those of the new network are red, green, blue"
    images.add_argument("--bgr", action="store_true", help=text)
    for name, what in (("mean", "subtracted from the channels"), ("std", "the channels are divided by")):
        text = f"{what}, red first, on the scale 0 to 1 (default: ImageNet's)"
        images.add_argument(f"--{name}", type=float, nargs=3, metavar=("R", "G", "B"), help=text)


def run(args: argparse.Namespace) -> int:
    """Convert as the arguments say; the exit code.

    Raises:
        ValueError: there is a file of that name already, or as :func:`dealias.compat.conversion.convert`.
    """
    from rich.console import Console

    from dealias.compat.conversion import Images, convert
    from dealias.evaluation.console import say

    if args.to.exists():
        raise ValueError(f"{args.to} is there already; nothing is replaced")
    images = Images(args.mean, args.std, args.bgr)
    console = Console()
    conversion = convert(args.checkpoint, args.layout, args.options, images, partial=True)
    _show(console, conversion)
    problems = conversion.matching.problems()
    if problems and not args.partial:
        raise ValueError(
            f"{args.checkpoint}: {len(problems)} tensors have no place, do not fit or are missing; nothing is written; "
            "--partial takes what fits"
        )
    conversion.write(args.to)
    say(console, f"Wrote {args.to}")
    return 0


def _show(console: Console, conversion: Conversion) -> None:
    """Tables of the tensors by part, and the names of those that are not used."""
    from rich import box
    from rich.table import Table

    from dealias.evaluation.console import say

    matching, left_out = conversion.matching, conversion.plan.left_out
    say(console, f"{conversion.source}: layout {conversion.layout}")
    columns = {
        "used": _parts({name.partition("[")[0] for name in matching.used}),
        "not needed": _parts(left_out),
        "no place": _parts(matching.unexpected),
        "other shape": _parts(matching.misshapen),
        "missing": _parts(matching.missing),
    }
    table = Table("part", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right")
    for part in sorted({part for counts in columns.values() for part in counts}):
        table.add_row(part, *(str(counts[part] or "-") for counts in columns.values()))
    table.add_row("all", *(str(counts.total() or "-") for counts in columns.values()))
    console.print(table)
    for reason, number in Counter(left_out.values()).items():
        say(console, f"Not needed: {number} ({reason})")
    if conversion.file.dropped:
        say(console, f"Dropped beside the weights: {', '.join(conversion.file.dropped)}")
    problems = matching.problems()
    for problem in problems[:_SHOWN]:
        say(console, problem)
    if len(problems) > _SHOWN:
        say(console, f"and {len(problems) - _SHOWN} more")


def _parts(names: Iterable[str]) -> Counter[str]:
    """How many names there are of each part, which is what they begin with."""
    return Counter(name.partition(".")[0] for name in names)
