# SPDX-License-Identifier: Apache-2.0
"""``objects.json``: all scores of a validation or test on objects, of every class, with the curves of precision."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from dealias._files import write_json
from dealias.train.objects import ObjectsTask

RESULTS_FILE = "objects.json"

_RECALLS = [position / 100 for position in range(101)]
_IOU_50, _IOU_75 = 0, 5


class ObjectResults(Callback):
    """Lightning callback that writes ``objects.json`` after each validation and test.

    Args:
        run: the run directory.
    """

    def __init__(self, run: Path) -> None:
        self.path = run / RESULTS_FILE

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the scores."""
        self._write(trainer, pl_module, "val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the scores."""
        self._write(trainer, pl_module, "test")

    def _write(self, trainer: Any, task: LightningModule, split: str) -> None:
        if not trainer.sanity_checking and trainer.is_global_zero and isinstance(task, ObjectsTask):
            write_json(self.path, describe_results(task.results[split], trainer.datamodule.describe(), split))


def describe_results(
    results: Mapping[str, Mapping[str, Tensor]], about: Mapping[str, Any], split: str
) -> dict[str, Any]:
    """Scores in plain values, with what is needed to show them.

    Args:
        results: scores by metric, see :class:`dealias.train.object_scores.ObjectScores`.
        about: the data, see :class:`dealias.train.ObjectsData`.
        split: ``"val"`` or ``"test"``.

    Returns:
        ``split``; ``classes``, ``is_thing`` and ``palette`` in the order of all scores of classes, of which those of
        detections have the things alone; ``recalls``; and every metric by its name. ``precision`` of detections is the
        mean over the classes that occur, at each recall, at an IoU of ``"0.50"``, of ``"0.75"``, and as the ``"mean"``
        over the thresholds 0.50 to 0.95.
    """
    described = {name: about[name] for name in ("classes", "is_thing", "palette")}
    metrics = {name: _plain(scores) for name, scores in results.items()}
    return {"split": split, **described, "recalls": _RECALLS, **metrics}


def _plain(scores: Mapping[str, Tensor]) -> dict[str, Any]:
    plain: dict[str, Any] = {name: value.tolist() for name, value in scores.items() if name != "precision"}
    if "precision" in scores:
        precision = scores["precision"].nanmean(dim=-1)
        curves = {"0.50": precision[_IOU_50], "0.75": precision[_IOU_75], "mean": precision.mean(dim=0)}
        plain["precision"] = {name: curve.tolist() for name, curve in curves.items()}
    return plain
