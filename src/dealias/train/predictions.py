# SPDX-License-Identifier: Apache-2.0
"""Predicted classes of images as a table."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from dealias._files import write_text
from dealias.train.image_scores import Rows, rows_of_all_processes


class PredictionTable(Callback):
    """Lightning callback that writes name, most likely class and its probability of every image to ``predictions.csv``.

    Args:
        folder: where the file goes.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.path = Path(folder) / "predictions.csv"
        self._rows: Rows = []

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the rows of a batch, whose ``outputs`` are probabilities [B, classes]."""
        probabilities, classes = outputs.max(dim=1)
        values = zip(batch["name"], classes.tolist(), probabilities.tolist(), strict=True)
        self._rows += [(name, [float(number), probability]) for name, number, probability in values]

    def on_predict_end(self, trainer: Any, pl_module: LightningModule) -> None:
        """Write the rows of all processes."""
        rows, self._rows = rows_of_all_processes(self._rows), []
        if trainer.is_global_zero:
            write_text(self.path, _table(rows, trainer.datamodule.describe()["classes"]))


def _table(rows: Rows, classes: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "class", "probability"])
    writer.writerows([name, classes[int(number)], f"{probability:.6f}"] for name, (number, probability) in rows)
    return text.getvalue()
