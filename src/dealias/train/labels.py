# SPDX-License-Identifier: Apache-2.0
"""Predicted classes as label PNGs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from PIL import Image
from torch import Tensor

from dealias._files import replacing


class LabelWriter(BasePredictionWriter):
    """Lightning callback that writes the class ids of every predicted image to ``<folder>/<name>.png``.

    Args:
        folder: where the files go; the samples' names may have sub-folders.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(write_interval="batch")
        self.folder = Path(folder)
        self.written = 0

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Tensor,
        batch_indices: Sequence[int] | None,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write one file per sample."""
        for name, labels in zip(batch["name"], prediction, strict=True):
            write_labels(labels, self.folder / f"{name}.png")
            self.written += 1


def write_labels(labels: Tensor, path: str | Path) -> None:
    """Write class ids as a PNG with one channel, of 8 bits if they fit and of 16 bits otherwise.

    Args:
        labels: ids from 0 to 65535, (H, W), any integer type and device.
        path: the file, replaced as a whole.

    Raises:
        ValueError: an id is out of range.
    """
    ids = labels.detach().cpu().numpy()
    if ids.size and (ids.min() < 0 or ids.max() > np.iinfo(np.uint16).max):
        raise ValueError(f"{path}: ids must be in 0..65535, got {ids.min()}..{ids.max()}")
    dtype = np.uint8 if not ids.size or ids.max() <= np.iinfo(np.uint8).max else np.uint16
    with replacing(path) as temporary:
        Image.fromarray(ids.astype(dtype)).save(temporary, format="PNG")
