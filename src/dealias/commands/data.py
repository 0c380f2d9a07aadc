# SPDX-License-Identifier: Apache-2.0
"""``dealias data``: commands on data sets."""

from __future__ import annotations

import argparse

from . import data_check


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the commands and their arguments."""
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="read a data set once, and list every bad file")
    data_check.add_arguments(check)
    check.set_defaults(run_on_data=data_check.run)


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    exit_code: int = args.run_on_data(args)
    return exit_code
