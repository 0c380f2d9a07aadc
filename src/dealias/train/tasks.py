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
from dealias.train.pictures import RunPictures
from dealias.train.predictions import PredictionTable
from dealias.train.task import SegmentationTask


@dataclass(frozen=True)
class TaskKind:
    """A task.

    Attributes:
        task: the Lightning module.
        data: its data.
        score: the score whose best checkpoint is kept, and which is told at the end.
        target: what holds the ground truth in a batch.
        writers: callbacks that write what came out, by subcommand, run directory and number of pictures.
    """

    task: type[NetworkTask]
    data: type[PairedData]
    score: str
    target: str
    writers: Callable[[str, Path, int], list[Callback]]


def _segmentation_writers(subcommand: str, run: Path, pictures: int) -> list[Callback]:
    return [LabelWriter(run / "labels")] if subcommand == "predict" else [RunPictures(run, pictures)]


def _classification_writers(subcommand: str, run: Path, pictures: int) -> list[Callback]:
    return [PredictionTable(run)] if subcommand == "predict" else []


TASKS = {
    "segmentation": TaskKind(SegmentationTask, SegmentationData, "mIoU", "mask", _segmentation_writers),
    "classification": TaskKind(ClassificationTask, ClassificationData, "accuracy", "label", _classification_writers),
}
"""Every task by the name that ``--task`` takes."""
