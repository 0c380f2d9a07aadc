# SPDX-License-Identifier: Apache-2.0
"""What scores do not show: recall of poles by width, and how much the answer changes when the scene moves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor
from torchvision import tv_tensors

from dealias._files import write_json
from dealias.analysis import WidthRecall, shift_change
from dealias.data import Scene, SyntheticScenes, evaluation_transform
from dealias.models import SegmentationModel
from dealias.train.checkpoints import load_checkpoint
from dealias.train.run_directory import checkpoint_path

from .data import VAL_SEED
from .pool import Report
from .settings import Run

DIAGNOSTICS_FILE = "diagnostics.json"
WIDTHS = (1, 2, 3, 4)
SHIFTS = (4, 8)
"""Pixels; multiples of the stem's stride, so that they show more than the stem."""

RECALLS = tuple(f"pole {width} px" for width in WIDTHS)
CHANGES = tuple(f"{what} {shift} px" for what in ("logits", "labels") for shift in SHIFTS)

_SHIFT_SEED = 2
_SHIFT_SIZE = (160, 160)
_MARGIN = 16
_BATCH = 16


@dataclass(frozen=True)
class Diagnosis:
    """Which run to examine, and on how many scenes each."""

    run: Run
    pole_scenes: int
    shift_scenes: int

    @property
    def name(self) -> str:
        """Of the run."""
        return self.run.name

    @property
    def file(self) -> Path:
        """Where the result is."""
        return self.run.directory / DIAGNOSTICS_FILE


def diagnose(diagnosis: Diagnosis, report: Report) -> None:
    """Examine the network of a finished run and write ``diagnostics.json`` into its directory, as fractions.

    ``pole W px``: recall of the pixels of poles and wires W pixels wide, on validation scenes. ``logits S px`` and
    ``labels S px``: :func:`dealias.analysis.shift_change` for a shift by S pixels, on scenes that are larger than those
    of the training, so that the windows are as large as those.
    """
    device = diagnosis.run.device
    network = load_checkpoint(checkpoint_path(diagnosis.run.directory, "last"))[0].to(device)
    recalls = pole_recall(network, diagnosis.pole_scenes, device)
    report(0.5)
    images = [batch.to(device) for batch in _shift_batches(diagnosis.shift_scenes)]
    changes = [shift_change(network, images, shift, _MARGIN) for shift in SHIFTS]
    found = {f"pole {width} px": recall for width, recall in recalls.items() if width in WIDTHS}
    found |= {f"logits {change.shift} px": change.logits for change in changes}
    found |= {f"labels {change.shift} px": change.labels for change in changes}
    write_json(diagnosis.file, found)


@torch.no_grad()
def pole_recall(network: SegmentationModel, scenes: int, device: str) -> dict[int, float]:
    """Recall of poles by width in pixels, on so many validation scenes."""
    label = SyntheticScenes.classes.index("pole")
    recall = WidthRecall(label)
    for batch, shown in _pole_batches(scenes):
        predictions = network(batch.to(device)).argmax(1).cpu().numpy()
        for prediction, scene in zip(predictions, shown, strict=True):
            widths = {thing.id: thing.width_px for thing in scene.objects if thing.label == label}
            recall.update(prediction, scene.instances, widths)
    return recall.compute()


@lru_cache(maxsize=1)
def _pole_batches(scenes: int) -> list[tuple[Tensor, list[Scene]]]:
    dataset = SyntheticScenes(scenes, seed=VAL_SEED)
    shown = [dataset.scene(index) for index in range(scenes)]
    images = torch.stack([torch.from_numpy(scene.image).permute(2, 0, 1) for scene in shown])
    starts = range(0, scenes, _BATCH)
    return [(batch, shown[start : start + _BATCH]) for start, batch in zip(starts, _normalised(images), strict=True)]


@lru_cache(maxsize=1)
def _shift_batches(scenes: int) -> tuple[Tensor, ...]:
    dataset = SyntheticScenes(scenes, size=_SHIFT_SIZE, seed=_SHIFT_SEED)
    return _normalised(torch.stack([dataset[index]["image"] for index in range(scenes)]))


def _normalised(images: Tensor) -> tuple[Tensor, ...]:
    return evaluation_transform()(tv_tensors.Image(images)).as_subclass(Tensor).split(_BATCH)
