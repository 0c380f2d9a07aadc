# SPDX-License-Identifier: Apache-2.0
"""Predictions of chosen images of a data set as pictures, and the callback that leaves them in a run directory."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import Tensor

from dealias.data import SeededTransform
from dealias.report.choice import Choice, choose_images
from dealias.report.image_scores import image_scores_path, read_image_scores, write_image_scores
from dealias.report.pictures import Pictures, Sample, save_pictures
from dealias.train.data import SegmentationData
from dealias.train.inference import label_maps
from dealias.train.task import SegmentationTask

PICTURES = "pictures"
"""Folder of a run's pictures."""

MOST_CLASSES = 255
"""Labels are stored as bytes, of which one is for what is ignored."""

_IMAGES = {"val": "validation", "test": "test"}


@torch.no_grad()
def predict_pictures(
    predict: Callable[[Tensor], Tensor], data: SegmentationData, split: str, choice: Choice, device: torch.device | str
) -> Pictures:
    """Images as the network sees them but for the normalisation, with ground truth and prediction, at the truth's size.

    Args:
        predict: normalised images [1, 3, H, W] to logits.
        data: what the images are taken from; at most ``MOST_CLASSES`` classes.
        split: which of its data sets, ``"val"`` or ``"test"``.
        choice: which images.
        device: where to predict.

    Raises:
        ValueError: an image has another name than the one that was chosen.
    """
    dataset, about = data.datasets[split], data.describe()
    if dataset is None:
        raise ValueError(f"no data set to take pictures of: data.{split} is not given")
    seen = SeededTransform(dataset, data.eval_transform, data.seed)
    ignored = about["ignore_index"] if 0 <= about["ignore_index"] <= MOST_CLASSES else MOST_CLASSES
    samples = []
    for (index, why), name in zip(choice.reasons.items(), choice.names, strict=True):
        sample = seen[index]
        if sample["name"] != name:
            raise ValueError(
                f"image {index} of data.{split} is {sample['name']!r}, but {name!r} was scored in its place"
            )
        truth = sample["mask"].as_subclass(Tensor)
        labels = label_maps(predict(sample["image"][None].to(device)), (truth.shape[0], truth.shape[1]))[0]
        truth = truth.masked_fill(truth == about["ignore_index"], ignored)
        image = _colours(_at_size_of(truth, sample["image"].as_subclass(Tensor)), about)
        samples.append(Sample(name, image, _bytes(truth), _bytes(labels), why))
    palette = tuple((red, green, blue) for red, green, blue in about["palette"])
    return Pictures(tuple(about["classes"]), palette, ignored, choice.rule, tuple(samples))


class RunPictures(Callback):
    """Lightning callback that writes the scores of every image, and pictures of some of them.

    The scores are written after each validation and test, the pictures at the end of the run. All processes predict the
    pictures, the first one writes.

    Args:
        run: the run directory.
        count: evenly spaced images to show besides those at the ends of the scores; 0: no pictures.
    """

    def __init__(self, run: Path, count: int) -> None:
        if count < 0:
            raise ValueError(f"the number of pictures must not be negative, got {count}")
        self.run, self.count = run, count

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the scores of the images."""
        self._finish(trainer, pl_module, "val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the scores of the images, and the pictures."""
        self._finish(trainer, pl_module, "test")

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the pictures."""
        self._take(trainer, pl_module, "val")

    def _finish(self, trainer: Trainer, task: LightningModule, split: str) -> None:
        if trainer.sanity_checking or not isinstance(task, SegmentationTask):
            return
        if trainer.is_global_zero:
            write_image_scores(image_scores_path(self.run, split), task.image_scores[split])
        if trainer.state.fn != "fit":
            self._take(trainer, task, split)

    def _take(self, trainer: Any, task: LightningModule, split: str) -> None:
        choice = trainer.strategy.broadcast(self._choose(split) if trainer.is_global_zero else None)
        data = trainer.datamodule  # an attribute that trainers do not declare
        if choice is None or data is None or len(data.describe()["classes"]) > MOST_CLASSES:
            return
        was_training = task.training
        task.eval()
        with trainer.precision_plugin.forward_context():
            pictures = predict_pictures(task, data, split, choice, task.device)
        task.train(was_training)
        if trainer.is_global_zero:
            save_pictures(self.run / PICTURES, pictures)

    def _choose(self, split: str) -> Choice | None:
        """From the file, so that a run which was killed behind its last validation gets its pictures when resumed."""
        path = image_scores_path(self.run, split)
        if not self.count or not path.is_file():
            return None
        return choose_images([read_image_scores(path)], self.count, _IMAGES[split])


def _at_size_of(truth: Tensor, image: Tensor) -> Tensor:
    """An image [3, h, w] on the grid of the labels [H, W], of which its transform may have taken it away."""
    if image.shape[1:] == truth.shape:
        return image
    resized = F.interpolate(image[None], size=truth.shape, mode="bilinear", align_corners=False, antialias=True)
    return resized[0]


def _colours(image: Tensor, about: Mapping[str, Any]) -> NDArray[np.uint8]:
    """An image [3, H, W] without its normalisation, [H, W, 3]."""
    if about["mean"] is not None:
        mean, std = (torch.tensor(about[name])[:, None, None] for name in ("mean", "std"))
        image = image * std + mean
    return _bytes((image.permute(1, 2, 0).clamp(0, 1) * 255).round())


def _bytes(values: Tensor) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = values.to(torch.uint8).cpu().numpy()
    return found
