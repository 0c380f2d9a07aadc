# SPDX-License-Identifier: Apache-2.0
"""``dealias list``: the names that configurations may use."""

import argparse
import fnmatch
import re
from collections.abc import Mapping


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``dealias list``."""
    parser.add_argument(
        "--encoders",
        nargs="?",
        const="",
        metavar="FILTER",
        help="list backbones too, all or those that match FILTER: a part of the name, or a pattern with *",
    )


def run(args: argparse.Namespace) -> int:
    """Print models, fusions, prefilters, mixers and modulations, and backbones if asked for.

    Raises:
        ValueError: no backbone matches.
    """
    from rich.console import Console
    from rich.table import Table

    from dealias.filters import PREFILTERS
    from dealias.fusion import FUSIONS
    from dealias.mixing import MIXERS
    from dealias.models.architectures import ARCHITECTURES
    from dealias.models.detectors import DETECTORS
    from dealias.modulation import MODULATIONS

    console = Console()
    table = Table("kind", "name", "what it is")
    kinds: dict[str, Mapping[str, object]] = {
        "model": {**ARCHITECTURES, **DETECTORS},
        "fusion": FUSIONS,
        "prefilter": PREFILTERS,
        "mixer": MIXERS,
        "modulation": MODULATIONS,
    }
    for kind, methods in kinds.items():
        for name, method in methods.items():
            table.add_row(kind, name, _summary(method))
    console.print(table)
    if args.encoders is not None:
        console.print("\n".join(_encoders(args.encoders)), highlight=False)
    return 0


def _encoders(text: str) -> list[str]:
    """Names of backbones, ours and timm's, that match."""
    import timm

    from dealias.backbones import INTERNIMAGES, MSCANS

    pattern = text if "*" in text else f"*{text}*"
    names = [*fnmatch.filter([*MSCANS, *INTERNIMAGES], pattern), *timm.list_models(pattern)]
    if not names:
        raise ValueError(f"no backbone matches {text!r}")
    return names


def _summary(thing: object) -> str:
    """First line of its documentation, without markup."""
    return re.sub(r"``?|:\w+:", "", (thing.__doc__ or "").strip().partition("\n")[0])
