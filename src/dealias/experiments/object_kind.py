# SPDX-License-Identifier: Apache-2.0
"""Comparisons of networks of objects: boxes, masks and panoptic segments, scored by AP and PQ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torchvision.transforms import v2

from dealias._files import write_json
from dealias.data import object_evaluation_transform
from dealias.data.photometric import AddNoise
from dealias.train.object_data import ObjectsData
from dealias.train.object_results import RESULTS_FILE, describe_results
from dealias.train.object_scores import ObjectMetricSettings
from dealias.train.objects import ObjectsTask

from .kind import Course, Kind
from .object_data import SYNTHETIC, CompareObjects, open_objects
from .pictures import PicturesOfRun
from .settings import CompareSettings, Run
from .small_objects import SMALL_OPTIONS
from .stage_aliasing import stage_aliasing

_PANOPTIC = ("PQ", "SQ", "RQ", "PQ things", "PQ stuffs", "mask AP")

COLUMNS = {
    "faster_rcnn": ("box AP", "box AP50", "box AP75", "box APs", "box APm", "box APl"),
    "mask_rcnn": ("mask AP", "mask AP50", "mask APs", "mask APm", "mask APl", "boundary AP", "box AP"),
    "panoptic_fpn": _PANOPTIC,
    "mask2former": _PANOPTIC,
}
"""By architecture; the first is what runs are judged by."""

_NOT_OF_OBJECTS = {"crop": "networks of objects are trained on whole images", "band": "no score of theirs has one"}


class ObjectKind(Kind):
    """See :class:`~dealias.experiments.kind.Kind`."""

    @staticmethod
    def complete(settings: CompareSettings) -> CompareSettings:
        """The settings with small networks for synthetic scenes, where the model options do not say otherwise.

        Raises:
            ValueError: a crop or a band, which are for segmentation networks.
        """
        for name, reason in _NOT_OF_OBJECTS.items():
            if (value := getattr(settings, name)) is not None:
                raise ValueError(f"{name} does not apply to {settings.arch}, {reason}; got {value}")
        if settings.data.partition(":")[0] != SYNTHETIC:
            return settings
        return replace(settings, model_options={**SMALL_OPTIONS[settings.arch], **settings.model_options})

    @property
    def columns(self) -> Mapping[str, str]:
        """Those of the architecture."""
        return {column: column.replace(" ", "_") for column in COLUMNS[self.settings.arch]}

    @property
    def classes(self) -> list[str]:
        """Names of the classes, things first."""
        names: list[str] = self.validation_data().describe()["classes"]
        return names

    @property
    def counts(self) -> tuple[int, int]:
        """Number of things and of stuff categories."""
        return self._data.counts

    def training_data(self, seed: int) -> ObjectsData:
        """What a run with this seed trains on."""
        return ObjectsData(
            train=self._data.train,
            train_transform=self._data.train_transform,
            batch_size=self.settings.batch_size,
            workers=0,
            seed=seed,
        )

    def validation_data(self) -> ObjectsData:
        """What every run is scored on, with noise if wanted."""
        noise = [AddNoise(self.settings.noise)] if self.settings.noise else []
        noisy = v2.Compose([*noise, object_evaluation_transform()])
        return ObjectsData(
            val=self._data.val, eval_transform=noisy, eval_batch_size=self._data.eval_batch_size, workers=0
        )

    def task(self, network: Any, loss_weight: float, course: Course) -> ObjectsTask:
        """The network's own losses, and the scores of the columns; there is no modulation with a loss."""
        metrics = ObjectMetricSettings(boundary="boundary AP" in self.columns)
        return ObjectsTask(network, course.optimizer, course.schedule, metrics, course.seed)

    def keep(self, task: Any, folder: Path) -> dict[str, Any]:
        """Write ``objects.json``, with the scores of every class and the curves of precision."""
        about = self.validation_data().describe()
        write_json(folder / RESULTS_FILE, describe_results(task.results["val"], about, "val"))
        return {"task": task.kind, "classes": about["classes"], **task.describe_scores()}

    def aliasing(self, network: Any, device: str) -> dict[str, float]:
        """Aliasing at the stages on validation images."""
        scaled = object_evaluation_transform()
        return stage_aliasing(network, self._data.val, device, lambda sample: [scaled(sample)["image"].to(device)])

    def missing_pictures(self, runs: Sequence[Run]) -> list[PicturesOfRun]:
        """None: objects are not drawn side by side."""
        return []

    @property
    def _data(self) -> CompareObjects:
        panoptic = "PQ" in self.columns
        return open_objects(self.settings.data, panoptic, self.settings.low_light)
