# SPDX-License-Identifier: Apache-2.0
"""Pictures of a run on objects: evenly spaced images with their true and their predicted objects."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from PIL import Image

from dealias._files import replacing, write_text
from dealias.data import SeededSamples
from dealias.report.choice import evenly_spaced
from dealias.report.pictures import EVENLY_SPACED, INDEX_FILE
from dealias.train.object_data import ObjectsData
from dealias.train.object_overlays import Overlays, as_bytes, as_pixels
from dealias.train.objects import ObjectsTask
from dealias.train.pictures import PICTURES

_PARTS = ("image", "truth", "prediction", "errors")
_IMAGES = {"val": "validation", "test": "test"}

Pictures = dict[str, NDArray[np.uint8]]
"""RGB pixels [H, W, 3] by what they show: image, truth, prediction and, with masks, errors."""


class ObjectPictures(Callback):
    """Lightning callback that leaves pictures of evenly spaced images in ``pictures/`` at the end of a run.

    ``NNN_image.png``, ``NNN_truth.png``, ``NNN_prediction.png`` and, of networks with masks, ``NNN_errors.png``; and
    ``pictures.json``, which names them. All processes predict, the first one writes.

    Args:
        run: the run directory.
        count: of images; 0: none.

    Raises:
        ValueError: ``count`` is negative.
    """

    def __init__(self, run: Path, count: int) -> None:
        if count < 0:
            raise ValueError(f"the number of pictures must not be negative, got {count}")
        self.folder, self.count = run / PICTURES, count

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the pictures, unless training goes on."""
        if trainer.state.fn != "fit":
            self._take(trainer, pl_module, "val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the pictures."""
        self._take(trainer, pl_module, "test")

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the pictures."""
        self._take(trainer, pl_module, "val")

    def _take(self, trainer: Any, task: LightningModule, split: str) -> None:
        data = trainer.datamodule  # an attribute that trainers do not declare
        if not self.count or data.datasets[split] is None or not isinstance(task, ObjectsTask):
            return
        indices = evenly_spaced(len(data.datasets[split]), self.count)
        was_training = task.training
        task.eval()
        with trainer.precision_plugin.forward_context(), torch.no_grad():
            taken = [take_pictures(task, data, split, index) for index in indices]
        task.train(was_training)
        if trainer.is_global_zero:
            rule = f"{len(indices)} of {len(data.datasets[split])} {_IMAGES[split]} images, evenly spaced"
            _save(self.folder, taken, data.describe(), rule)


def take_pictures(task: ObjectsTask, data: ObjectsData, split: str, index: int) -> tuple[str, Pictures]:
    """An image of a data set and what the network finds in it: its name, and the pictures.

    Args:
        task: in evaluation mode.
        data: what the image is taken from.
        split: which of its data sets, ``"val"`` or ``"test"``.
        index: of the image.
    """
    about = data.describe()
    overlays = Overlays(about["classes"], about["palette"], task.network.stuff_classes)
    batch = data.categories.collate([SeededSamples(data.datasets[split], data.eval_transform, data.seed)[index]])
    image, target = batch["image"][0], batch["target"][0]
    (found,) = task([image.to(task.device)])
    drawn = as_pixels(as_bytes(image)), overlays.truth(image, target), overlays.prediction(image, found)
    wrong = overlays.errors(image, target, found)
    parts = (*drawn, wrong) if wrong is not None else drawn
    return batch["name"][0], dict(zip(_PARTS, parts, strict=False))


def _save(folder: Path, taken: list[tuple[str, Pictures]], about: dict[str, Any], rule: str) -> None:
    """Write the pictures in place of those that were there; the index goes first and comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX_FILE).unlink(missing_ok=True)
    for left in folder.glob("[0-9][0-9][0-9]_*.png"):
        left.unlink()
    samples = []
    for number, (name, parts) in enumerate(taken):
        files = {part: f"{number:03d}_{part}.png" for part in parts}
        for part, pixels in parts.items():
            with replacing(folder / files[part]) as temporary:
                Image.fromarray(pixels).save(temporary, format="PNG")
        samples.append({"name": name, "why": [EVENLY_SPACED], **files})
    described = {name: about[name] for name in ("classes", "palette", "is_thing")}
    index = {"task": ObjectsTask.kind, **described, "rule": rule, "samples": samples}
    write_text(folder / INDEX_FILE, json.dumps(index, indent=2) + "\n")
