# SPDX-License-Identifier: Apache-2.0
"""Image classification as a Lightning module and its data: loss and accuracy around a built classifier."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.classification import MulticlassConfusionMatrix
from torchvision.transforms import v2

from dealias.data import ClassificationDataset, classification_evaluation_transform, collate_classified
from dealias.models import ClassificationModel
from dealias.train.base_data import Loading, PairedData, normalisation_of
from dealias.train.base_task import NetworkTask
from dealias.train.optim import OptimizerSettings
from dealias.train.schedule import ScheduleSettings

_OPTIMIZER = OptimizerSettings()
_SCHEDULE = ScheduleSettings()


class ClassificationTask(NetworkTask):
    """Train, validate, test and predict with an image classifier.

    Batches are dictionaries with ``image`` [B, C, H, W], ``label`` [B] and ``name``. The loss is cross entropy. Logged
    are ``train/loss``, ``train/lr``, ``train/seconds_per_step`` (data and optimiser included, validation not), and for
    ``val`` and ``test`` ``accuracy`` (of all images, a fraction) and ``mean_accuracy`` (mean over classes that occur).
    :attr:`scores` keeps the latest, with the accuracy of every class.
    What a network draws at random, as dropout, depends on (seed, epoch, batch, process) alone, so that a resumed run
    equals an uninterrupted one.

    Args:
        network: a built network, for example dealias.models.create_classifier.
        label_smoothing: share of the target that is spread over all classes, in [0, 1).
        optimizer: optimiser and learning rates.
        schedule: course of the learning rate over the optimiser steps of the run.
        seed: of what the network draws at random.

    Raises:
        ValueError: ``label_smoothing`` is out of range.
    """

    kind = "classification"
    score = "accuracy"

    def __init__(
        self,
        network: ClassificationModel,
        label_smoothing: float = 0.0,
        optimizer: OptimizerSettings = _OPTIMIZER,
        schedule: ScheduleSettings = _SCHEDULE,
        seed: int = 0,
    ) -> None:
        super().__init__(network, optimizer, schedule, seed)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing}")
        self.label_smoothing = label_smoothing
        self.confusion = nn.ModuleDict({stage: MulticlassConfusionMatrix(network.classes) for stage in ("val", "test")})

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, classes] of normalised images [B, C, H, W]."""
        return self.network(images)

    def batch_loss(self, batch: dict[str, Any]) -> Tensor:
        """Cross entropy of a batch."""
        return F.cross_entropy(self(batch["image"]).float(), batch["label"], label_smoothing=self.label_smoothing)

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Probabilities of a batch, [B, classes]."""
        return self(batch["image"]).float().softmax(dim=1)

    def count(self, stage: str, batch: dict[str, Any]) -> None:
        """Count the predictions of a batch."""
        metric: Any = self.confusion[stage]
        metric.update(self(batch["image"]).argmax(dim=1), batch["label"])

    def finish(self, stage: str) -> None:
        """Keep and log the scores."""
        metric: Any = self.confusion[stage]
        self.log_scores(stage, accuracies(metric.compute()))
        metric.reset()


def accuracies(confusion: Tensor) -> dict[str, Tensor]:
    """Scores of a confusion matrix [classes, classes], truth by prediction, as fractions.

    Returns:
        ``accuracy`` of all images, ``mean_accuracy`` over the classes that occur, and ``class_accuracy`` [classes], nan
        of classes that do not occur.

    >>> import torch
    >>> accuracies(torch.tensor([[3, 1], [0, 1]]))["accuracy"]
    tensor(0.8000, dtype=torch.float64)
    """
    counts = confusion.double()
    of_classes = counts.diag() / counts.sum(dim=1)
    accuracy = counts.trace() / counts.sum()
    return {"accuracy": accuracy, "mean_accuracy": of_classes.nanmean(), "class_accuracy": of_classes}


class ClassificationData(PairedData):
    """Loaders of built data sets, whose order and augmentation depend on (seed, epoch, index) alone.

    Args:
        train: data set to train on, for example dealias.data.ClassFolders or dealias.data.TextureFrequencies.
        val: data set to validate on.
        test: data set to test on.
        predict: data set to predict.
        train_transform: augmentation of training samples, see dealias.data.classification_training_transform; null for
            none.
        eval_transform: of all other samples, see dealias.data.classification_evaluation_transform; null for ImageNet's
            normalisation.
        batch_size: training samples per batch and process.
        eval_batch_size: other samples per batch and process; images of different sizes need 1.
        workers: processes that read and augment, per loader; 0 reads in the main process.
        seed: of order and augmentation.
    """

    def __init__(
        self,
        train: ClassificationDataset | None = None,
        val: ClassificationDataset | None = None,
        test: ClassificationDataset | None = None,
        predict: ClassificationDataset | None = None,
        train_transform: v2.Transform | None = None,
        eval_transform: v2.Transform | None = None,
        batch_size: int = 32,
        eval_batch_size: int = 64,
        workers: int = 2,
        seed: int = 0,
    ) -> None:
        datasets = {"train": train, "val": val, "test": test, "predict": predict}
        evaluation = classification_evaluation_transform() if eval_transform is None else eval_transform
        loading = Loading(batch_size, eval_batch_size, workers, seed)
        super().__init__(datasets, train_transform or evaluation, evaluation, collate_classified, loading)

    def describe(self) -> dict[str, Any]:
        """What a network needs to know about the data it was trained on, in plain Python values.

        Returns:
            ``classes`` of the data sets, and ``mean`` and ``std`` of the normalisation (None if the evaluation
            transform has none).
        """
        return {"classes": list(self._any_dataset().classes), **normalisation_of(self.eval_transform)}
