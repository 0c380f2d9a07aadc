# SPDX-License-Identifier: Apache-2.0
"""Sample images with their labels, and features before and after fusions: as colours, and small for cosines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dealias._files import replacing
from dealias.analysis import MapPair, MapSimilarity, compact_directions, direction_colours, feature_maps
from dealias.inspection import PICTURES, Images, Size, Subject, preparation, write_picture
from dealias.report.choice import evenly_spaced

LARGEST_COLOURS, LARGEST_COPY = 256, 64
"""Larger maps are reduced to so many pixels along their longer side."""


@torch.inference_mode()
def save_features(
    folder: Path,
    subject: Subject,
    images: Images,
    maps: Sequence[MapSimilarity],
    *,
    samples: int,
    layers: int,
    size: Size | None = None,
) -> list[dict[str, Any]]:
    """Write sample images, their labels, and their features.

    Args:
        folder: of the analysis; files go to ``pictures`` in it.
        subject: the network.
        images: those that were analysed, of which samples are taken evenly spaced.
        maps: what was measured.
        samples: number of samples.
        layers: number of layers at most, those with the finest maps.
        size: as in :func:`dealias.similarity.measure_similarity`.

    Returns:
        What was written, as ``similarity.json`` has it; nothing if there is nothing to show.
    """
    chosen = _finest(maps, layers)
    if samples < 1 or not chosen:
        return []
    return [
        _save(folder, number, subject, images[position], chosen, size)
        for number, position in enumerate(evenly_spaced(len(images), samples))
    ]


def _finest(maps: Sequence[MapSimilarity], count: int) -> list[str]:
    """The layers with the finest maps, in the order in which they were called."""
    pixels = {found.layer: found.size[0] * found.size[1] for found in maps}
    finest = sorted(pixels, key=lambda layer: -pixels[layer])[: max(count, 0)]
    return [layer for layer in pixels if layer in finest]


def _save(
    folder: Path, number: int, subject: Subject, sample: Any, layers: Sequence[str], size: Size | None
) -> dict[str, Any]:
    prepared = preparation(subject, size)(sample)
    device = next(subject.network.parameters()).device
    found = feature_maps(subject.network, prepared["image"].as_subclass(Tensor)[None].to(device), layers)
    image, labels = f"{PICTURES}/{number:03d}_image.png", f"{PICTURES}/{number:03d}_labels.png"
    write_picture(folder / image, sample["image"].permute(1, 2, 0).numpy())
    write_picture(folder / labels, prepared["mask"].numpy().astype(np.uint8))
    entries = []
    for order, layer in enumerate(layers):
        for name, pair in found[layer].items():
            stem = f"{PICTURES}/{number:03d}_{order}_{name}"
            entries.append({"layer": layer, "map": name, **_save_pair(folder, stem, pair)})
    return {"name": sample["name"], "image": image, "labels": labels, "maps": entries}


def _save_pair(folder: Path, stem: str, pair: MapPair) -> dict[str, Any]:
    """The features of one image before and after a layer: colours, and small copies in one file."""
    sides = {"before": pair.before, "after": pair.after}
    maps = {side: features[0] for side, features in sides.items() if features is not None}
    colours = direction_colours([_reduced(features, LARGEST_COLOURS) for features in maps.values()])
    files: dict[str, str | None] = {"before": None, "after": None}
    for side, colour in zip(maps, colours, strict=True):
        files[side] = f"{stem}_{side}.png"
        write_picture(folder / f"{stem}_{side}.png", colour.numpy())
    copies, kept = compact_directions([_reduced(features, LARGEST_COPY) for features in maps.values()])
    _write_array(folder / f"{stem}.npy", np.stack([copy.numpy() for copy in copies]))
    return {**files, "vectors": f"{stem}.npy", "kept": kept}


def _reduced(features: Tensor, largest: int) -> Tensor:
    """Features [C, h, w] that fit into a square."""
    height, width = features.shape[1:]
    factor = min(1.0, largest / max(height, width))
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    if size == (height, width):
        return features
    return functional.interpolate(features[None].float(), size, mode="bilinear", antialias=True)[0]


def _write_array(path: Path, array: NDArray[np.int8]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)
