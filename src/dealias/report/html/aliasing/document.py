# SPDX-License-Identifier: Apache-2.0
"""Reading ``analysis.json``, which :mod:`dealias.aliasing.result` describes, whoever has written it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean
from typing import Any

from dealias.analysis import Correlation, LayerAliasing
from dealias.report.html.analyses import Origin, file_inside, read_origin, shared_prefix
from dealias.report.html.documents import explained, number, read_object

ANALYSIS_FILE = "analysis.json"

_TEXTS, _COUNTS = ("name", "kind"), ("kernel", "stride", "in_channels", "out_channels", "images")
_LISTS = ("frequencies", "radial_power")


@dataclass(frozen=True)
class MapFile:
    """A map of a layer: a grey picture, and where it is."""

    layer: str
    file: Path


@dataclass(frozen=True)
class Picture:
    """A sample image with its maps; ``position`` is where it is among the images."""

    name: str
    position: int
    image: Path
    maps: tuple[MapFile, ...]


@dataclass(frozen=True)
class Document:
    """What an analysis has found.

    Attributes:
        folder: where it is.
        origin: where it comes from.
        within: the part of the names of all layers that they have in common, left out of them.
        images: names of those that were analysed.
        layers: in the order in which images pass them.
        image_scores: by layer, a score for each image; layers without are left out.
        errors: by metric, a fraction for each image; empty if they are not known.
        correlations: by layer (``None``: the mean over the layers) and metric.
        missing: names of layers that were not measured, with the reason.
        pictures: sample images.
    """

    folder: Path
    origin: Origin
    within: str
    images: tuple[str, ...]
    layers: tuple[LayerAliasing, ...]
    image_scores: Mapping[str, Sequence[float]]
    errors: Mapping[str, Sequence[float]]
    correlations: Mapping[tuple[str | None, str], Correlation]
    missing: tuple[tuple[str, str], ...]
    pictures: tuple[Picture, ...]

    @property
    def losing(self) -> list[LayerAliasing]:
        """The layers that cannot keep all that arrives, the one with the highest score first."""
        return sorted((layer for layer in self.layers if layer.loses), key=lambda layer: -layer.score)

    @property
    def mean_scores(self) -> list[float]:
        """The mean over these layers for each image; empty if there are no scores by image."""
        scores = [self.image_scores[layer.name] for layer in self.losing if layer.name in self.image_scores]
        return [fmean(of_image) for of_image in zip(*scores, strict=True)]


def load_document(folder: Path) -> Document:
    """Read the analysis in a folder.

    Raises:
        ValueError: its file is missing or holds something else; it is named.
    """
    path = folder / ANALYSIS_FILE
    data = read_object(path)
    with explained(path, "an analysis"):
        within = shared_prefix([str(entry["name"]) for entry in data["layers"]])
        layers = tuple(_layer(entry, within) for entry in data["layers"])
        images = tuple(str(image["name"]) for image in data["images"])
        scores = [[number(score) for score in entry["image_scores"]] for entry in data["layers"]]
        if not layers or not images:
            raise ValueError("it has no layers or no images")
        return Document(
            folder=folder,
            origin=read_origin(data),
            within=within,
            images=images,
            layers=layers,
            image_scores={layer.name: of for layer, of in zip(layers, scores, strict=True) if len(of) == len(images)},
            errors=_errors(data["images"]),
            correlations=dict(_correlation(entry, within) for entry in data["correlations"]),
            missing=_missing(data),
            pictures=tuple(_picture(folder, entry, images, within) for entry in data["pictures"]),
        )


def _layer(entry: Mapping[str, Any], within: str) -> LayerAliasing:
    found: dict[str, Any] = {}
    for field in fields(LayerAliasing):
        value = entry[field.name]
        if field.name in _TEXTS:
            found[field.name] = str(value)
        elif field.name in _COUNTS:
            found[field.name] = int(value)
        elif field.name in _LISTS:
            found[field.name] = [number(item) for item in value]
        elif field.name == "spectrum":
            found[field.name] = [[number(item) for item in row] for row in value]
        else:
            found[field.name] = number(value)
    layer = LayerAliasing(**{**found, "name": found["name"].removeprefix(within)})
    if len(layer.frequencies) != len(layer.radial_power) or {len(row) for row in layer.spectrum} != {
        len(layer.spectrum)
    }:
        raise ValueError(f"the spectra of {layer.name!r} have wrong sizes")
    return layer


def _errors(images: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    known = [image["errors"] for image in images]
    if None in known:
        return {}
    return {str(metric): [number(errors[metric]) for errors in known] for metric in known[0]}


def _correlation(entry: Mapping[str, Any], within: str) -> tuple[tuple[str | None, str], Correlation]:
    layer = None if entry["layer"] is None else str(entry["layer"]).removeprefix(within)
    pearson, spearman, p_value = (number(entry[name]) for name in ("pearson", "spearman", "p_value"))
    return (layer, str(entry["metric"])), Correlation(pearson, spearman, p_value, int(entry["count"]))


def _missing(data: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    unused = [(str(name), "no image passed it") for name in data["unused"]]
    return (*unused, *((str(name), "it makes maps smaller by no layer of its own") for name in data["unmeasured"]))


def _picture(folder: Path, entry: Mapping[str, Any], images: Sequence[str], within: str) -> Picture:
    maps = tuple(
        MapFile(str(of["layer"]).removeprefix(within), file_inside(folder, of["file"])) for of in entry["maps"]
    )
    name = str(entry["name"])
    if name not in images:
        raise ValueError(f"it has a picture of {name!r}, which is none of its images")
    return Picture(name, images.index(name), file_inside(folder, entry["image"]), maps)
