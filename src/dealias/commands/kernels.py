# SPDX-License-Identifier: Apache-2.0
"""``dealias kernels``: compile the CPU kernels, or say whether they are active."""

from __future__ import annotations

import argparse
import sys

_DESCRIPTION = """\
Compile the CPU kernels of the operators for this processor, or say whether they are active. Nothing else ever compiles
them; without them everything runs in plain torch. It takes a C++ compiler and a few seconds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the commands."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="action")
    build = commands.add_parser("build", help="compile the kernels and check them")
    text = "where there is no compiler, or it fails, say so and end well: everything runs without the kernels, slower"
    build.add_argument("--optional", action="store_true", help=text)
    commands.add_parser("status", help="say whether compiled kernels are active, and why")


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit code: 1 if the kernels are not active."""
    from dealias.kernels import build_kernels, kernel_status
    from dealias.kernels.library import forget_kernels

    if args.action == "build":
        try:
            sys.stdout.write(f"Wrote {build_kernels()}\n")
        except (ValueError, OSError) as error:
            if not args.optional:
                raise
            sys.stdout.write(f"No compiled kernels: {error}\n")
            return 0
        forget_kernels()
    status = kernel_status()
    sys.stdout.write(f"Compiled CPU kernels: {'active' if status.active else 'not active'}, {status.reason}\n")
    return 0 if status.active else 1
