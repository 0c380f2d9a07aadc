# SPDX-License-Identifier: Apache-2.0
"""What the parts of the page about analyses of a network have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from .recipe import Recipe

RANDOM_WEIGHTS = (
    "Random weights.",
    "This network was not trained: the numbers show what its architecture does before any training. "
    "Trained weights can differ a lot.",
)

ONE_IMAGE = ("One image.", "How much the numbers differ between images is not known.")

_WEIGHTS = {"random": "random weights", "pretrained": "pretrained weights", "trained": "trained by dealias"}


@dataclass(frozen=True)
class Head:
    """What the page says of an analysis before its contents."""

    title: str
    facts: tuple[str, ...]


@dataclass(frozen=True)
class Origin:
    """Where the numbers of an analysis come from.

    Attributes:
        network: its name.
        weights: "random", "pretrained" or "trained".
        source: what was asked for as images.
        images: how many were analysed.
        available: how many there were to choose from.
        settings: as they were asked for.
        environment: versions, device, command and start.
    """

    network: str
    weights: str
    source: str
    images: int
    available: int
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]


def facts_of(origin: Origin) -> tuple[str, ...]:
    """What is worth knowing at a glance."""
    several = f"{origin.images} of {origin.available}" if origin.images != origin.available else str(origin.images)
    shown = f"{several} image{'s' * (origin.available != 1)} of {origin.source}"
    size = origin.settings.get("size")
    resized = [f"resized to {size[0]} high, {size[1]} wide"] if size else []
    known = [_WEIGHTS.get(origin.weights, origin.weights), shown, *resized, origin.environment.get("device")]
    return tuple(str(fact) for fact in (*known, str(origin.environment.get("started", ""))[:10]) if fact)


def recipe_of(origin: Origin) -> Recipe:
    """How to do it again."""
    environment = origin.environment
    known = {name: environment.get(name) for name in ("revision", "device", "threads", "system", "started")}
    known |= environment.get("versions") or {}
    return Recipe(
        origin.network,
        str(environment.get("command") or ""),
        json.dumps(dict(origin.settings), indent=2, ensure_ascii=False),
        tuple((str(name), str(value)) for name, value in known.items() if value not in (None, "")),
    )


def read_origin(data: Mapping[str, Any]) -> Origin:
    """What the JSON of any analysis says of it.

    Raises:
        KeyError: something is missing.
        TypeError: something is of another kind; so ``ValueError``.
    """
    return Origin(
        network=str(data["network"]["name"]),
        weights=str(data["network"]["weights"]),
        source=str(data["data"]["source"]),
        images=int(data["data"]["images"]),
        available=int(data["data"]["of"]),
        settings=dict(data["settings"]),
        environment=dict(data["environment"]),
    )


def shared_prefix(names: Sequence[str]) -> str:
    """The modules that all layers are in.

    >>> shared_prefix(["encoder.body.conv1", "encoder.body.layer2.0.conv1"])
    'encoder.body.'
    """
    containers = [name.split(".")[:-1] for name in names]
    shared = takewhile(lambda parts: len(set(parts)) == 1, zip(*containers, strict=False))
    return "".join(f"{parts[0]}." for parts in shared)


def container(names: Sequence[str]) -> str:
    """The same, without a list whose numbers alone would remain.

    >>> container(["decoder.path.fusions.0", "decoder.path.fusions.1"])
    'decoder.path.'
    """
    shared = shared_prefix(names)
    is_list = any(name.removeprefix(shared).isdigit() for name in names)
    return shared_prefix([shared.removesuffix(".")]) if is_list else shared


def layers_around(modules: Sequence[str]) -> tuple[str, list[str]]:
    """What the layers that some modules are in have in common, and the names of these layers without it.

    >>> layers_around(["body.layer2.0.modulation", "body.layer3.0.modulation"])
    ('body.', ['layer2.0', 'layer3.0'])
    """
    layers = [name.rpartition(".")[0] or name for name in modules]
    within = container(layers)
    return within, [layer.removeprefix(within) for layer in layers]


def file_inside(folder: Path, file: Any) -> Path:
    """The file: a name in somebody's JSON must not reach anything outside of the folder.

    Raises:
        ValueError: it would.
    """
    path = (folder / str(file)).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{file} is not a file inside the folder")
    return path
