# SPDX-License-Identifier: Apache-2.0
"""``dealias report``: one page about finished runs; importing this loads nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path

_DESCRIPTION = """\
Write one HTML file about finished runs, which needs nothing else: no network, no other files. It has the scores with
their spread and paired differences, scores by class, training curves, diagnostics, and sample images with a slider
between any two predictions, with false responses, merging mistakes and displacements in colours of their own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    text = "folder of a comparison (compare, demo), an analysis, or a run (fit, validate, test); runs share a table"
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help=text)
    text = "file to write (default: report.html in the first RUN)"
    parser.add_argument("--out", type=Path, metavar="FILE.html", help=text)


def run(args: argparse.Namespace) -> int:
    """Write the report; the exit code."""
    from rich.console import Console
    from rich.markup import escape

    from dealias.report.html import write_report

    out = write_report(args.runs, args.out or args.runs[0] / "report.html")
    megabytes = out.stat().st_size / 1e6
    Console(highlight=False).print(escape(f"Wrote {out} ({megabytes:.1f} MB)"), soft_wrap=True)
    return 0
