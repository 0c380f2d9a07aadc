# SPDX-License-Identifier: Apache-2.0
"""Sample images with what every modulated stage makes of them, as plain files, and an overview of each image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dealias.analysis import StageModulation, modulation_maps
from dealias.inspection import PICTURES, Images, Size, Subject, preparation, write_picture
from dealias.report.choice import evenly_spaced
from dealias.report.html.analyses import layers_around

from .drawing import Picture, StagePictures, draw_stage
from .overview import draw_overview


@torch.inference_mode()
def save_stages(
    folder: Path,
    subject: Subject,
    images: Images,
    stages: Sequence[StageModulation],
    *,
    samples: int,
    count: int,
    size: Size | None = None,
) -> list[dict[str, Any]]:
    """Write sample images, and for each what its stages do: pictures, and all of them in one overview.

    Args:
        folder: of the analysis; files go to ``pictures`` in it.
        subject: the network.
        images: those that were analysed, of which samples are taken evenly spaced.
        stages: what was measured.
        samples: number of samples.
        count: of stages at most, those with the finest maps.
        size: as in :func:`dealias.resampling.measure_modulation`.

    Returns:
        What was written, as ``modulation.json`` has it; nothing if there is nothing to show.
    """
    if min(samples, count) < 1:
        return []
    strides = {stage.name: stage.stride for stage in stages}
    _, labels = layers_around(list(strides))
    device = next(subject.network.parameters()).device
    entries = []
    for number, position in enumerate(evenly_spaced(len(images), samples)):
        sample = images[position]
        pixels = sample["image"].permute(1, 2, 0).numpy()
        prepared = preparation(subject, size)(sample)["image"].as_subclass(Tensor)
        found = modulation_maps(subject.network, prepared[None].to(device), strides)
        chosen = list(zip(stages, labels, strict=True))[:count]
        drawn = [draw_stage(pixels, found[stage.name], stage, label) for stage, label in chosen]
        entries.append(_save(folder, f"{PICTURES}/{number:03d}", sample["name"], pixels, drawn))
    return entries


def _save(folder: Path, stem: str, name: str, pixels: Picture, stages: Sequence[StagePictures]) -> dict[str, Any]:
    """One sample: its pixels, the pictures of its stages, and all in one."""
    image, overview = f"{stem}_image.png", f"{stem}_overview.png"
    write_picture(folder / image, pixels)
    write_picture(folder / overview, np.asarray(draw_overview(name, stages)))
    entries = [_save_stage(folder, f"{stem}_{order}", drawn) for order, drawn in enumerate(stages)]
    return {"name": name, "image": image, "overview": overview, "stages": entries}


def _save_stage(folder: Path, stem: str, drawn: StagePictures) -> dict[str, Any]:
    files = {name: f"{stem}_{name}.png" for name in ("attention", "points", *drawn.maps)}
    for name, picture in ({"attention": drawn.attention, "points": drawn.points} | dict(drawn.maps)).items():
        write_picture(folder / files[name], picture)
    return {
        "name": drawn.stage.name,
        "attention": files["attention"],
        "top": drawn.top,
        "points": files["points"],
        "every": drawn.every,
        "maps": {name: files[name] for name in drawn.maps},
    }
