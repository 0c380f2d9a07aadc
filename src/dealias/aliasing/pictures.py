# SPDX-License-Identifier: Apache-2.0
"""Sample images and, for the worst layers, maps of where the power is that these cannot keep, as plain files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dealias.analysis import aliasing_maps
from dealias.inspection import PICTURES, Images, Size, Subject, preparation, write_picture
from dealias.report.choice import evenly_spaced

Map = NDArray[np.float32]

_TOP_QUANTILE = 0.995


@torch.inference_mode()
def save_maps(
    folder: Path,
    subject: Subject,
    images: Images,
    layers: Sequence[str],
    *,
    samples: int,
    sizes: int,
    size: Size | None = None,
) -> list[dict[str, Any]]:
    """Write pictures of sample images, and of the aliasing maps of some layers.

    Of layers on maps of one size, only the first is shown, since the others show nearly the same.

    Args:
        folder: of the analysis; files go to ``pictures`` in it.
        subject: the network.
        images: those that were analysed, of which samples are taken evenly spaced.
        layers: names of modules, see :func:`dealias.analysis.aliasing_maps`, the most interesting first.
        samples: number of samples.
        sizes: number of layers at most.
        size: as in :func:`dealias.aliasing.measure_network`.

    Returns:
        What was written, as ``analysis.json`` has it; nothing if there is nothing to show.
    """
    if min(samples, sizes, len(layers)) < 1:
        return []
    chosen = list(layers)
    found: list[tuple[Any, dict[str, Map]]] = []
    for position in evenly_spaced(len(images), samples):
        sample = images[position]
        maps = _maps(subject, sample, chosen, size)
        if not found:
            maps = _one_of_each_size(maps, sizes)
            chosen = list(maps)
        found.append((sample, maps))
    tops = {name: _top([maps[name] for _, maps in found if name in maps]) for name in chosen}
    return [_save(folder, number, sample, maps, tops) for number, (sample, maps) in enumerate(found)]


def _maps(subject: Subject, sample: Any, layers: Sequence[str], size: Size | None) -> dict[str, Map]:
    prepared = preparation(subject, size)(sample)["image"].as_subclass(Tensor)
    device = next(subject.network.parameters()).device
    maps = aliasing_maps(subject.network, prepared[None].to(device), layers)
    return {name: maps[name][0].numpy() for name in layers if name in maps}


def _one_of_each_size(maps: Mapping[str, Map], count: int) -> dict[str, Map]:
    first: dict[tuple[int, ...], str] = {}
    for name, power in maps.items():
        first.setdefault(power.shape, name)
    return {name: maps[name] for name in list(first.values())[:count]}


def _save(folder: Path, number: int, sample: Any, maps: Mapping[str, Map], tops: Mapping[str, float]) -> dict[str, Any]:
    """One sample: its pixels, and a grey picture per layer, brightness being the amplitude."""
    image = f"{PICTURES}/{number:03d}_image.png"
    write_picture(folder / image, sample["image"].permute(1, 2, 0).numpy())
    entries = []
    for order, (layer, power) in enumerate(maps.items()):
        file = f"{PICTURES}/{number:03d}_map{order}.png"
        write_picture(folder / file, np.rint(255 * np.sqrt(np.clip(power / tops[layer], 0, 1))).astype(np.uint8))
        entries.append({"layer": layer, "file": file, "top": tops[layer]})
    return {"name": sample["name"], "image": image, "maps": entries}


def _top(maps: Sequence[Map]) -> float:
    """The power that is shown brightest: nearly the strongest in all samples, as single places are far above others."""
    return max(float(np.quantile(np.concatenate([power.ravel() for power in maps]), _TOP_QUANTILE)), 1e-12)
