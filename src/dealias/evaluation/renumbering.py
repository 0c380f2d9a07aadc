# SPDX-License-Identifier: Apache-2.0
"""Ids in label files to ids of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dealias.metrics import remap_labels

_BYTES = 256


@dataclass(frozen=True)
class Renumbering:
    """Ids in files to ids of classes, as :func:`dealias.metrics.remap_labels` does: first the map, then zero out.

    Attributes:
        label_map: old id to new id, all at once; other ids stay.
        reduce_zero_label: id 0 becomes ignored and the others one less.
        ignore_index: the ignored id.

    Raises:
        ValueError: an id does not fit into 32 bits.
    """

    label_map: Mapping[int, int]
    reduce_zero_label: bool = False
    ignore_index: int = 255
    _table: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        table = self._remap(torch.arange(_BYTES, dtype=torch.int32)).numpy()
        if 0 <= table.min() and table.max() < _BYTES:
            table = table.astype(np.uint8)
        object.__setattr__(self, "_table", table)  # an array: tensors travel to processes by way of open files

    def __call__(self, labels: Tensor) -> Tensor:
        """Renumber uint8 or int32 ids of any shape; the result is uint8 or int32."""
        if not self.label_map and not self.reduce_zero_label:
            return labels
        if labels.dtype != torch.uint8:
            return self._remap(labels)
        # One look-up for every byte instead of one pass over the pixels for every entry of the map.
        return torch.from_numpy(self._table).index_select(0, labels.flatten().int()).view_as(labels)

    def _remap(self, labels: Tensor) -> Tensor:
        return remap_labels(labels, self.label_map, self.reduce_zero_label, self.ignore_index)
