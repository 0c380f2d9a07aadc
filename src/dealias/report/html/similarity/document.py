# SPDX-License-Identifier: Apache-2.0
"""Reading ``similarity.json``, which :mod:`dealias.similarity.result` describes, whoever has written it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dealias.analysis import ClassSimilarity, FeatureSimilarity, MapSimilarity
from dealias.report.html.analyses import Origin, container, file_inside, read_origin
from dealias.report.html.documents import explained, number, read_object

SIMILARITY_FILE = "similarity.json"

_TELLING = ("sum", "coarse", "output")
"""Maps of a layer, the one that tells most of it first."""


@dataclass(frozen=True)
class FeatureFiles:
    """Pictures of the features of a map, ``before`` where there is one, and small copies with their kept share."""

    layer: str
    map: str
    before: Path | None
    after: Path
    vectors: Path
    kept: float


@dataclass(frozen=True)
class Picture:
    """A sample image, its labels, and its features."""

    name: str
    image: Path
    labels: Path
    features: tuple[FeatureFiles, ...]


@dataclass(frozen=True)
class Document:
    """What an analysis of similarity has found.

    Attributes:
        origin: where it comes from.
        within: the part of the names of all layers that they have in common, left out of them.
        classes: their names, by label.
        ignore_index: label of pixels without ground truth.
        band: width in pixels by which edges are widened.
        reach: how far from boundaries is looked.
        grid: height and width that features and labels were compared at; ``None``: that of the labels.
        maps: in the order in which images pass them.
        unused: names of layers that no image passed.
        pictures: sample images.
    """

    origin: Origin
    within: str
    classes: tuple[str, ...]
    ignore_index: int
    band: int
    reach: int
    grid: tuple[int, int] | None
    maps: tuple[MapSimilarity, ...]
    unused: tuple[str, ...]
    pictures: tuple[Picture, ...]

    @property
    def telling(self) -> list[MapSimilarity]:
        """The map of each layer that tells most: both maps of a fusion added if they can be, else the coarse one."""
        layers = dict.fromkeys(found.layer for found in self.maps)
        ranked = sorted(self.maps, key=lambda found: _TELLING.index(found.map) if found.map in _TELLING else 9)
        return [next(found for found in ranked if found.layer == layer) for layer in layers]

    def name_of(self, label: int) -> str:
        """The name of a class, or its label if it has none."""
        return self.classes[label] if 0 <= label < len(self.classes) else f"class {label}"


def load_document(folder: Path) -> Document:
    """Read the analysis in a folder.

    Raises:
        ValueError: its file is missing or holds something else; it is named.
    """
    path = folder / SIMILARITY_FILE
    data = read_object(path)
    with explained(path, "a similarity analysis"):
        within = container([str(entry["layer"]) for entry in data["maps"]])
        maps = tuple(_map(entry, within) for entry in data["maps"])
        if not maps:
            raise ValueError("it has no maps")
        grid = data["settings"]["grid"]
        return Document(
            origin=read_origin(data),
            within=within,
            classes=tuple(str(name) for name in data["data"]["classes"]),
            ignore_index=int(data["data"]["ignore_index"]),
            band=int(data["settings"]["band"]),
            reach=int(data["settings"]["reach"]),
            grid=None if grid is None else (int(grid[0]), int(grid[1])),
            maps=maps,
            unused=tuple(str(name) for name in data["unused"]),
            pictures=tuple(_picture(folder, entry, within) for entry in data["pictures"]),
        )


def _map(entry: Mapping[str, Any], within: str) -> MapSimilarity:
    height, width = (int(length) for length in entry["size"])
    return MapSimilarity(
        layer=str(entry["layer"]).removeprefix(within),
        map=str(entry["map"]),
        channels=int(entry["channels"]),
        size=(height, width),
        before=None if entry["before"] is None else _similarity(entry["before"]),
        after=_similarity(entry["after"]),
    )


def _similarity(entry: Mapping[str, Any]) -> FeatureSimilarity:
    return FeatureSimilarity(int(entry["images"]), tuple(_class(of) for of in entry["classes"]))


def _class(entry: Mapping[str, Any]) -> ClassSimilarity:
    intra, inter, accuracy = (number(entry[name]) for name in ("intra", "inter", "accuracy"))
    profile = tuple(number(share) for share in entry["profile"])
    return ClassSimilarity(int(entry["label"]), int(entry["images"]), intra, inter, accuracy, profile)


def _picture(folder: Path, entry: Mapping[str, Any], within: str) -> Picture:
    features = tuple(
        FeatureFiles(
            layer=str(of["layer"]).removeprefix(within),
            map=str(of["map"]),
            before=None if of["before"] is None else file_inside(folder, of["before"]),
            after=file_inside(folder, of["after"]),
            vectors=file_inside(folder, of["vectors"]),
            kept=number(of["kept"]),
        )
        for of in entry["maps"]
    )
    image, labels = (file_inside(folder, entry[name]) for name in ("image", "labels"))
    return Picture(str(entry["name"]), image, labels, features)
