# SPDX-License-Identifier: Apache-2.0
"""The tasks that ``dealias fit`` and its kin know: what is trained, on what, and what a run writes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch.callbacks import Callback

from dealias.train.base_data import PairedData
from dealias.train.base_task import NetworkTask
from dealias.train.classification import ClassificationData, ClassificationTask
from dealias.train.data import SegmentationData
from dealias.train.labels import LabelWriter
from dealias.train.object_data import ObjectsData
from dealias.train.object_pictures import ObjectPictures
from dealias.train.object_results import ObjectResults
from dealias.train.object_writer import ObjectWriter
from dealias.train.objects import ObjectsTask
from dealias.train.pictures import RunPictures
from dealias.train.predictions import PredictionTable
from dealias.train.task import SegmentationTask


@dataclass(frozen=True)
class TaskKind:
    """A task.

    Attributes:
        task: the Lightning module.
        data: its data.
        labels: what holds the labels in a batch whose images can be attacked; None: they cannot.
        writers: callbacks that write what came out, by subcommand, run directory and number of pictures.
    """

    task: type[NetworkTask]
    data: type[PairedData]
    labels: str | None
    writers: Callable[[str, Path, int], list[Callback]]


def _segmentation_writers(subcommand: str, run: Path, pictures: int) -> list[Callback]:
    return [LabelWriter(run / "labels")] if subcommand == "predict" else [RunPictures(run, pictures)]


def _classification_writers(subcommand: str, run: Path, pictures: int) -> list[Callback]:
    return [PredictionTable(run)] if subcommand == "predict" else []


def _object_writers(subcommand: str, run: Path, pictures: int) -> list[Callback]:
    return [ObjectWriter(run)] if subcommand == "predict" else [ObjectResults(run), ObjectPictures(run, pictures)]


TASKS = {
    "segmentation": TaskKind(SegmentationTask, SegmentationData, "mask", _segmentation_writers),
    "classification": TaskKind(ClassificationTask, ClassificationData, "label", _classification_writers),
    "objects": TaskKind(ObjectsTask, ObjectsData, None, _object_writers),
}
"""Every task by the name that ``--task`` takes."""
