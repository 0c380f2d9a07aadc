# SPDX-License-Identifier: Apache-2.0
"""The arguments of ``dealias demo``; importing this loads nothing heavy."""

from __future__ import annotations

import argparse

from .compare import add_execution

_DESCRIPTION = """\
Show on synthetic scenes what an upsampler changes: train a small network with bilinear upsampling, CARAFE and
FreqFusion, three paired seeds each, on scenes of thin poles, fences, signs and stripes that only their spatial
frequency tells apart. Then the diagnostics: recall of poles by their width, change of the answer when the image moves
by a few pixels, and what folds at a strided layer. Takes some minutes on two cores; ends with tables and pictures."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--quick", action="store_true", help="one seed and few steps: about a minute, scores mean little"
    )
    add_execution(parser.add_argument_group("execution"), "demo")


def run(args: argparse.Namespace) -> int:
    """Do the demo; the exit code."""
    from rich.console import Console

    from dealias.experiments.compare import Execution
    from dealias.experiments.demo import FULL, QUICK, demo

    demo(QUICK if args.quick else FULL, Execution.from_arguments(args, "demo"), Console())
    return 0
