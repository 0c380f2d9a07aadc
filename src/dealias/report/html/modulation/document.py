# SPDX-License-Identifier: Apache-2.0
"""Reading ``modulation.json``, which :mod:`dealias.resampling.result` describes, whoever has written it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dealias.analysis import Spread, StageModulation
from dealias.report.html.analyses import Origin, file_inside, layers_around, read_origin
from dealias.report.html.documents import explained, number, read_object

MODULATION_FILE = "modulation.json"

CURVES = ("before", "modulated", "demodulated", "plain")
"""The maps that have spectra."""

RESTORED = ("demodulated", "plain")
"""Those that went through the stride and back."""

PICTURED = ("before", "modulated", "sampled", "demodulated", "plain")
"""The maps that there are pictures of."""


@dataclass(frozen=True)
class StageFiles:
    """Pictures of a stage for one image.

    Attributes:
        name: of the stage.
        attention: file.
        top: the attention that is shown brightest, 1 being its mean.
        points: file.
        every: which of the samples are drawn, along rows and columns.
        maps: files by the names in :data:`PICTURED`.
    """

    name: str
    attention: Path
    top: float
    points: Path
    every: int
    maps: Mapping[str, Path]


@dataclass(frozen=True)
class Picture:
    """A sample image with its stages."""

    name: str
    image: Path
    stages: tuple[StageFiles, ...]


@dataclass(frozen=True)
class Document:
    """What an analysis of modulation has found.

    Attributes:
        origin: where it comes from.
        within: the part of the names of all stages that they have in common, left out of them.
        band: width in pixels by which boundaries of labels are widened; ``None``: there are no labels.
        stages: in the order in which images pass them.
        pictures: sample images.
    """

    origin: Origin
    within: str
    band: int | None
    stages: tuple[StageModulation, ...]
    pictures: tuple[Picture, ...]


def load_document(folder: Path) -> Document:
    """Read the analysis in a folder.

    Raises:
        ValueError: its file is missing or holds something else; it is named.
    """
    path = folder / MODULATION_FILE
    data = read_object(path)
    with explained(path, "a modulation analysis"):
        modules = [str(entry["name"]) for entry in data["stages"]]
        if not modules:
            raise ValueError("it has no stages")
        within, layers = layers_around(modules)
        names = dict(zip(modules, layers, strict=True))
        band = data["settings"]["band"]
        return Document(
            origin=read_origin(data),
            within=within,
            band=None if band is None else int(band),
            stages=tuple(_stage(entry, names) for entry in data["stages"]),
            pictures=tuple(_picture(folder, entry, names) for entry in data["pictures"]),
        )


def _stage(entry: Mapping[str, Any], names: Mapping[str, str]) -> StageModulation:
    height, width = (int(length) for length in entry["size"])
    found = StageModulation(
        name=names[entry["name"]],
        stride=int(entry["stride"]),
        channels=int(entry["channels"]),
        size=(height, width),
        nyquist=number(entry["nyquist"]),
        images=int(entry["images"]),
        frequencies=[number(value) for value in entry["frequencies"]],
        spectra={name: [number(value) for value in entry["spectra"][name]] for name in CURVES},
        spectra_std={name: [number(value) for value in entry["spectra_std"][name]] for name in CURVES},
        aliasing={name: _spread(entry["aliasing"][name]) for name in CURVES},
        lost={name: _spread(entry["lost"][name]) for name in RESTORED},
        detail={name: _spread(entry["detail"][name]) for name in RESTORED},
        displacement=_spread(entry["displacement"]),
        flips=_spread(entry["flips"]),
        density=_spread(entry["density"]),
        correlation=_spread(entry["correlation"]),
    )
    if {len(values) for values in (*found.spectra.values(), *found.spectra_std.values())} != {len(found.frequencies)}:
        raise ValueError(f"the spectra of {found.name!r} have wrong sizes")
    return found


def _spread(entry: Mapping[str, Any]) -> Spread:
    return Spread(number(entry["mean"]), number(entry["std"]), int(entry["images"]))


def _picture(folder: Path, entry: Mapping[str, Any], names: Mapping[str, str]) -> Picture:
    stages = tuple(
        StageFiles(
            name=names[of["name"]],
            attention=file_inside(folder, of["attention"]),
            top=number(of["top"]),
            points=file_inside(folder, of["points"]),
            every=int(of["every"]),
            maps={name: file_inside(folder, of["maps"][name]) for name in PICTURED},
        )
        for of in entry["stages"]
    )
    return Picture(str(entry["name"]), file_inside(folder, entry["image"]), stages)
