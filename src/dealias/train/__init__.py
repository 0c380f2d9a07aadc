# SPDX-License-Identifier: Apache-2.0
"""Training, evaluation and prediction with Lightning.

Names are imported when they are first used: modules that only define command-line arguments must not load Lightning.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dealias.train.checkpoint_files import AtomicCheckpointIO
    from dealias.train.checkpoints import (
        best_checkpoint,
        load_checkpoint,
        load_classifier,
        load_detector,
    )
    from dealias.train.classification import ClassificationData, ClassificationTask
    from dealias.train.data import SegmentationData
    from dealias.train.history import HistoryLogger
    from dealias.train.inference import InferenceSettings, predict_logits
    from dealias.train.labels import LabelWriter, write_labels
    from dealias.train.last_checkpoint import LastCheckpoint
    from dealias.train.object_data import ObjectsData
    from dealias.train.object_scores import ObjectMetricSettings
    from dealias.train.objects import ObjectsTask
    from dealias.train.optim import OptimizerSettings
    from dealias.train.run_directory import environment, new_run_directory
    from dealias.train.schedule import ScheduleSettings
    from dealias.train.task import MetricSettings, SegmentationTask

__all__ = [
    "AtomicCheckpointIO",
    "ClassificationData",
    "ClassificationTask",
    "HistoryLogger",
    "InferenceSettings",
    "LabelWriter",
    "LastCheckpoint",
    "MetricSettings",
    "ObjectMetricSettings",
    "ObjectsData",
    "ObjectsTask",
    "OptimizerSettings",
    "ScheduleSettings",
    "SegmentationData",
    "SegmentationTask",
    "best_checkpoint",
    "environment",
    "load_checkpoint",
    "load_classifier",
    "load_detector",
    "new_run_directory",
    "predict_logits",
    "write_labels",
]

_MODULES = {
    "checkpoint_files": ("AtomicCheckpointIO",),
    "checkpoints": ("best_checkpoint", "load_checkpoint", "load_classifier", "load_detector"),
    "classification": ("ClassificationData", "ClassificationTask"),
    "data": ("SegmentationData",),
    "history": ("HistoryLogger",),
    "inference": ("InferenceSettings", "predict_logits"),
    "labels": ("LabelWriter", "write_labels"),
    "last_checkpoint": ("LastCheckpoint",),
    "object_data": ("ObjectsData",),
    "object_scores": ("ObjectMetricSettings",),
    "objects": ("ObjectsTask",),
    "optim": ("OptimizerSettings",),
    "run_directory": ("environment", "new_run_directory"),
    "schedule": ("ScheduleSettings",),
    "task": ("MetricSettings", "SegmentationTask"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
