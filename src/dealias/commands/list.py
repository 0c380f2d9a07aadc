# SPDX-License-Identifier: Apache-2.0
"""``dealias list``: the names that configurations may use."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``dealias list``."""
    parser.add_argument(
        "--encoders",
        nargs="?",
        const="",
        metavar="FILTER",
        help="list timm backbones too, all or those that match FILTER: a part of the name, or a pattern with *",
    )


def run(args: argparse.Namespace) -> int:
    """Print models and fusions, and backbones if asked for.

    Raises:
        ValueError: no backbone matches.
    """
    from rich.console import Console
    from rich.table import Table

    from dealias.fusion import FUSIONS
    from dealias.models.factory import ARCHITECTURES

    console = Console()
    table = Table("kind", "name", "what it is")
    for name, build in ARCHITECTURES.items():
        table.add_row("model", name, _summary(build))
    for name, method in FUSIONS.items():
        table.add_row("fusion", name, _summary(method))
    console.print(table)
    if args.encoders is not None:
        console.print("\n".join(_encoders(args.encoders)), highlight=False)
    return 0


def _encoders(text: str) -> list[str]:
    """Names of timm's backbones that match."""
    import timm

    names = timm.list_models(text if "*" in text else f"*{text}*")
    if not names:
        raise ValueError(f"no timm backbone matches {text!r}")
    return names


def _summary(thing: object) -> str:
    """First line of its documentation."""
    return (thing.__doc__ or "").strip().partition("\n")[0].replace("``", "")
