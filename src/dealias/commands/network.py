# SPDX-License-Identifier: Apache-2.0
"""Arguments that name a network: an architecture with its options, or a file; importing this loads nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dealias.commands.values import mapping

if TYPE_CHECKING:
    from dealias.models import SegmentationModel

_OPTIONS = ("encoder", "fusion", "prefilter", "mixer", "modulation", "classes", "model_options")


def add_network(parser: argparse.ArgumentParser) -> None:
    """Declare the options of an architecture, as :func:`open_network` takes them."""
    network = parser.add_argument_group("network, of an architecture")
    network.add_argument("--encoder", metavar="NAME", help="backbone (default: resnet50)")
    network.add_argument("--fusion", metavar="NAME", help="at upsampling (default: bilinear)")
    network.add_argument("--prefilter", metavar="NAME", help="before stages 2-4 (default: none)")
    network.add_argument("--mixer", metavar="NAME", help="in the blocks of stages 2-4 (default: none)")
    network.add_argument("--modulation", metavar="NAME", help="before stages 2-4 (default: none)")
    network.add_argument("--classes", type=int, metavar="N", help="number of classes (default: 19)")
    text = (
        'further arguments of create_model, such as \'{"decoder_channels": 128, "auxiliary": true, '
        '"fusion_options": {"compressed_channels": 32}}\''
    )
    network.add_argument("--model-options", type=mapping, metavar="JSON", help=text)


def open_network(model: str, args: argparse.Namespace) -> tuple[SegmentationModel, dict[str, Any]]:
    """The network of an architecture or of a file, and what is known of the data that it was trained on.

    Args:
        model: the name of an architecture, or a file that :func:`dealias.train.load_checkpoint` reads.
        args: with the options of :func:`add_network`.

    Raises:
        ValueError: there is no such architecture or file, or as in ``create_model``.
    """
    from dealias.models import create_model, list_models

    options = {name: value for name in _OPTIONS if (value := vars(args)[name]) is not None}
    if model not in list_models():
        return _from_file(Path(model), options, list_models())
    if "encoder" in options:
        options["encoder_name"] = options.pop("encoder")
    further = options.pop("model_options", {})
    twice = sorted(set(options) & set(further))
    if twice:
        raise ValueError(f"--model-options repeats {', '.join(twice)}, which has an option of its own")
    try:
        return create_model(model, **options, **further), {}
    except TypeError as error:
        raise ValueError(f"--model-options: {error}") from error


def _from_file(path: Path, options: Mapping[str, Any], known: list[str]) -> tuple[SegmentationModel, dict[str, Any]]:
    if not path.is_file():
        raise ValueError(f"no architecture and no file: {path}; known architectures: {', '.join(known)}")
    if options:
        given = ", ".join("--" + name.replace("_", "-") for name in options)
        raise ValueError(f"{path} says itself what its network is; leave {given} out")
    from dealias.train import load_checkpoint

    network, meta = load_checkpoint(path)
    return network, {key: meta[key] for key in ("classes", "palette", "mean", "std") if meta[key] is not None}
