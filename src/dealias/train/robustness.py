# SPDX-License-Identifier: Apache-2.0
"""Attacks on the images of ``dealias test``."""

from pathlib import Path
from typing import Any

import torch.nn.functional as F
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from dealias._files import write_json, write_text
from dealias.robustness import AttackSettings, Robustness, RobustnessMeter, normalised


class RobustnessTest(Callback):
    """Lightning callback that attacks every batch of a test and writes ``robustness.json`` and ``robustness.csv``.

    Attacks and the predictions that are scored are computed in the precision of the weights, without autocast. The
    images must not be inference tensors: trainers need ``inference_mode=False``.

    Args:
        folder: where the files go.
        settings: the attacks.
        target: what holds the labels in a batch.

    Attributes:
        result: of the last test; None before.
    """

    def __init__(self, folder: str | Path, settings: AttackSettings, target: str) -> None:
        super().__init__()
        self.folder, self.settings, self.target = Path(folder), settings, target
        self.result: Robustness | None = None
        self._about: dict[str, Any] = {}
        self._meter: RobustnessMeter | None = None

    def on_test_epoch_start(self, trainer: Any, pl_module: LightningModule) -> None:
        """Begin anew."""
        self._about = trainer.datamodule.describe()
        self._meter = RobustnessMeter(len(self._about["classes"]), self.settings, self._about.get("ignore_index"))

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Attack the batch."""
        labels: Tensor = batch[self.target]

        def logits(images: Tensor) -> Tensor:
            found = pl_module(images)
            if found.ndim == 2 or found.shape[-2:] == labels.shape[-2:]:
                return found
            return F.interpolate(found, size=labels.shape[-2:], mode="bilinear", align_corners=False)

        model, as_image = normalised(logits, self._about["mean"], self._about["std"])
        if self._meter is not None:
            self._meter.update(model, as_image(batch["image"]), labels)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the scores."""
        if self._meter is None:
            return
        self.result = self._meter.compute()
        if trainer.is_global_zero:
            write_json(self.folder / "robustness.json", self.result.to_dict())
            write_text(self.folder / "robustness.csv", self.result.to_csv())
