# SPDX-License-Identifier: Apache-2.0
"""Comparisons of segmentation networks: a class for every pixel, scored by mIoU and near edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dealias.data import evaluation_transform
from dealias.losses import SegmentationLoss
from dealias.report.image_scores import image_scores_path, write_image_scores
from dealias.report.outcome import SEGMENTATION_COLUMNS
from dealias.train.data import SegmentationData
from dealias.train.task import MetricSettings, SegmentationTask

from .data import CompareData, open_data
from .kind import Course, Kind
from .pictures import PicturesOfRun, missing_pictures
from .settings import CompareSettings, Run
from .stage_aliasing import stage_aliasing


class SegmentationKind(Kind):
    """See :class:`~dealias.experiments.kind.Kind`."""

    @staticmethod
    def complete(settings: CompareSettings) -> CompareSettings:
        """The settings as they are.

        Raises:
            ValueError: low light, which is for networks of objects.
        """
        if settings.low_light:
            raise ValueError(f"low light is for networks of objects, {settings.arch} is none")
        return settings

    @property
    def columns(self) -> Mapping[str, str]:
        """The mIoU and the scores near edges."""
        return SEGMENTATION_COLUMNS

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return list(self._data.train.classes)

    @property
    def counts(self) -> tuple[int, int]:
        """All classes; there is no stuff besides."""
        return len(self._data.train.classes), 0

    def training_data(self, seed: int) -> SegmentationData:
        """What a run with this seed trains on."""
        return SegmentationData(
            train=self._data.train,
            train_transform=self._data.train_transform,
            batch_size=self.settings.batch_size,
            workers=0,
            seed=seed,
        )

    def validation_data(self) -> SegmentationData:
        """What every run is scored on, with noise if wanted."""
        noisy = evaluation_transform(noise=self.settings.noise)
        return SegmentationData(
            val=self._data.val, eval_transform=noisy, eval_batch_size=self._data.eval_batch_size, workers=0
        )

    def task(self, network: Any, loss_weight: float, course: Course) -> SegmentationTask:
        """Cross entropy, and scores with the band of the settings or the data."""
        return SegmentationTask(
            network,
            SegmentationLoss(self._data.train.ignore_index),
            course.optimizer,
            course.schedule,
            metrics=MetricSettings(width=self.settings.band or self._data.band),
            seed=course.seed,
            high_frequency_weight=loss_weight,
        )

    def keep(self, task: Any, folder: Path) -> dict[str, Any]:
        """Write the scores of every image."""
        write_image_scores(image_scores_path(folder, "val"), task.image_scores["val"])
        return {"band": task.val_metrics.width, "classes": self.classes}

    def aliasing(self, network: Any, device: str) -> dict[str, float]:
        """Aliasing at the stages on validation images."""
        return stage_aliasing(network, self._data.val, device)

    def missing_pictures(self, runs: Sequence[Run]) -> list[PicturesOfRun]:
        """Evenly spaced images and those at the ends of the scores."""
        return missing_pictures(runs)

    @property
    def _data(self) -> CompareData:
        return open_data(self.settings.data, self.settings.crop)
