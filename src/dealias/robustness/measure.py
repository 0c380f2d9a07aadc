# SPDX-License-Identifier: Apache-2.0
"""Attack batches of images and count what a network then says, of whole images or of their pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torchmetrics import SumMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from .attacks import Model, fgsm, pgd
from .result import CLEAN, Robustness, Trial
from .settings import AttackSettings

_DEFAULT = AttackSettings()


class RobustnessMeter:
    """Counts predictions without attack and under each, batch by batch; in distributed runs of all processes together.

    Args:
        classes: number of classes.
        settings: the attacks.
        ignore_index: label that counts nowhere; ``None``: all count.
    """

    def __init__(self, classes: int, settings: AttackSettings = _DEFAULT, ignore_index: int | None = None) -> None:
        self.settings = settings
        self.ignore_index = ignore_index
        tried = [(name, float(epsilon)) for name in settings.attacks for epsilon in settings.epsilons]
        self._confusion = {
            trial: MulticlassConfusionMatrix(classes, ignore_index=ignore_index) for trial in [(CLEAN, 0.0), *tried]
        }
        self._of_pixels = False
        self._batches = 0
        self._images = SumMetric()

    def update(self, model: Model, images: Tensor, labels: Tensor) -> None:
        """Attack a batch.

        Args:
            model: images of 0 to 1 to logits [B, classes] or [B, classes, H, W], in evaluation mode, see
                :func:`normalised`.
            images: [B, C, H, W], 0 to 1.
            labels: class ids, [B] or [B, H, W].
        """
        for (name, epsilon), confusion in self._confusion.items():
            attacked = images if name == CLEAN else self._attack(name, epsilon, model, images, labels)
            with torch.no_grad():
                predicted = model(attacked).argmax(dim=1)
            confusion.to(labels.device).update(predicted, labels)
        self._of_pixels = labels.ndim > 1
        self._batches += 1
        self._images.to(labels.device).update(len(images))

    def compute(self) -> Robustness:
        """The scores so far.

        Those of images are ``accuracy`` and ``mean_accuracy``, those of pixels ``aAcc``, ``mAcc`` and ``mIoU``. Means
        are over the classes that occur: in the truth, or for mIoU there or in the predictions.
        """
        trials = []
        for (name, epsilon), confusion in self._confusion.items():
            counts = confusion.compute().double()
            scores = _pixel_scores(counts) if self._of_pixels else _image_scores(counts)
            trials.append(Trial(name, epsilon, {metric: value.item() for metric, value in scores.items()}))
        return Robustness(self.settings, int(self._images.compute()), tuple(trials))

    def _attack(self, name: str, epsilon: float, model: Model, images: Tensor, labels: Tensor) -> Tensor:
        ignore_index = -100 if self.ignore_index is None else self.ignore_index
        if name == "fgsm":
            return fgsm(model, images, labels, epsilon, ignore_index)
        seed = self.settings.seed + self._batches
        return pgd(model, images, labels, epsilon, self.settings.steps, seed=seed, ignore_index=ignore_index)


def evaluate_robustness(
    model: Model,
    batches: Iterable[tuple[Tensor, Tensor]],
    classes: int,
    settings: AttackSettings = _DEFAULT,
    ignore_index: int | None = None,
) -> Robustness:
    """Score a network without attack and under each.

    Args:
        model: images of 0 to 1 to logits, in evaluation mode, see :func:`normalised`.
        batches: of images [B, C, H, W], 0 to 1, and labels [B] or [B, H, W], where the model is.
        classes: number of classes.
        settings: the attacks.
        ignore_index: label that counts nowhere; ``None``: all count.

    >>> weight = torch.tensor([[-1.0], [1.0]])
    >>> batch = torch.tensor([0.2, 0.501, 0.8]).view(3, 1, 1, 1), torch.tensor([0, 1, 1])
    >>> found = evaluate_robustness(lambda x: (x.flatten(1) - 0.5) @ weight.T, [batch], 2)
    >>> [round(trial.scores["accuracy"], 2) for trial in found.trials[:2]]
    [1.0, 0.67]
    """
    meter = RobustnessMeter(classes, settings, ignore_index)
    for images, labels in batches:
        meter.update(model, images, labels)
    return meter.compute()


def normalised(
    network: Callable[[Tensor], Tensor], mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[Model, Callable[[Tensor], Tensor]]:
    """A network of normalised images as one of images of 0 to 1, and the function that brings images there.

    Args:
        network: normalised images to logits.
        mean: of each channel, on the scale 0 to 1; ``None``: images are not normalised.
        std: of each channel.
    """
    if mean is None or std is None:
        return network, lambda images: images.clamp(0, 1)
    shift, scale = (torch.tensor(values)[:, None, None] for values in (mean, std))

    def model(images: Tensor) -> Tensor:
        return network((images - shift.to(images)) / scale.to(images))

    return model, lambda images: (images * scale.to(images) + shift.to(images)).clamp(0, 1)


def _image_scores(counts: Tensor) -> dict[str, Tensor]:
    return {"accuracy": counts.trace() / counts.sum(), "mean_accuracy": (counts.diag() / counts.sum(dim=1)).nanmean()}


def _pixel_scores(counts: Tensor) -> dict[str, Tensor]:
    accuracy, mean_accuracy = _image_scores(counts).values()
    union = counts.sum(dim=0) + counts.sum(dim=1) - counts.diag()
    return {"aAcc": accuracy, "mAcc": mean_accuracy, "mIoU": (counts.diag() / union).nanmean()}
