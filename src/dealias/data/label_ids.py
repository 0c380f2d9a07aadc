# SPDX-License-Identifier: Apache-2.0
"""Ids in label files to class ids, by a table that every id of a file must be in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path

import torch
from torch import Tensor

_BYTES = 256
_SHOWN = 10


class LabelIds:
    """What the ids in label files mean.

    Args:
        classes: number of classes, whose ids are 0 to ``classes - 1``.
        ignore_index: id in the result of pixels that count nowhere.
        ignored: ids in the files that become ``ignore_index``.
        label_map: id in the files to class id or ``ignore_index``, of all ids that they may have beside the ignored
            ones; ``None``: files hold class ids.

    Attributes:
        table: class id or ``ignore_index`` of every id that files may have.

    Raises:
        ValueError: the map leads to an id that is neither a class nor ``ignore_index``, or is not of numbers.

    >>> LabelIds(2, label_map={0: 255, 1: 0, 2: 1})(torch.tensor([[0, 1, 2]], dtype=torch.uint8), "a.png")
    tensor([[255,   0,   1]], dtype=torch.uint8)
    """

    def __init__(
        self,
        classes: int,
        ignore_index: int = 255,
        ignored: Sequence[int] = (),
        label_map: Mapping[int, int] | None = None,
    ) -> None:
        label_map = {label: label for label in range(classes)} if label_map is None else dict(label_map)
        if strangers := [label for pair in label_map.items() for label in pair if not isinstance(label, Integral)]:
            raise ValueError(f"the label map must lead from numbers to numbers, found {strangers[0]!r}")
        wrong = sorted({label for label in label_map.values() if not 0 <= label < classes} - {ignore_index})
        if wrong:
            raise ValueError(
                f"the label map must lead to classes 0..{classes - 1} or {ignore_index}, found {shortened(wrong)}"
            )
        self.table = {**label_map, **dict.fromkeys(ignored, ignore_index)}
        self._ignore_index = ignore_index
        self._dtype = torch.uint8 if 0 <= ignore_index < _BYTES and classes <= _BYTES else torch.int64

    def __call__(self, labels: Tensor, file: str | Path) -> Tensor:
        """Class ids of a file's ids.

        Args:
            labels: integers of any shape.
            file: where they are from.

        Returns:
            The same shape: uint8 if all ids fit, otherwise int64.

        Raises:
            ValueError: naming the file: an id is not in the table.
        """
        flat = labels.flatten()
        if labels.dtype == torch.uint8:  # one look-up per pixel, without sorting them
            ids, positions = torch.arange(_BYTES), flat.int()
            present = flat.bincount().nonzero().flatten()
        else:
            ids, positions = flat.unique(return_inverse=True)
            present = ids
        complaint = self.complaint(present.tolist())
        if complaint is not None:
            raise ValueError(f"{file}: {complaint}")
        numbers = torch.tensor([self.table.get(label, 0) for label in ids.tolist()], dtype=self._dtype)
        return numbers.index_select(0, positions).view_as(labels)

    def complaint(self, ids: Iterable[int]) -> str | None:
        """The sentence on ids that are not in the table; ``None`` if all are.

        >>> LabelIds(2, ignored=(255,)).complaint([0, 1, 7, 255])
        'ids 7 found, expected class ids 0..1 or ignored (255)'
        """
        strange = [label for label in ids if label not in self.table]
        if not strange:
            return None
        ignored = sorted(label for label, number in self.table.items() if number == self._ignore_index)
        expected = sorted(self.table.keys() - set(ignored))
        text = f"ids {shortened(strange)} found, expected class ids {_ranges(expected)}"
        return f"{text} or ignored ({_ranges(ignored)})" if ignored else text


def shortened(items: Sequence[object]) -> str:
    """The first ten, separated by commas.

    >>> shortened(range(12))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...'
    """
    return ", ".join(map(str, items[:_SHOWN])) + (", ..." if len(items) > _SHOWN else "")


def _ranges(ids: Sequence[int]) -> str:
    """Sorted ids, those that follow each other as ``first..last``."""
    starts = [label for label in ids if label - 1 not in ids]
    ends = [label for label in ids if label + 1 not in ids]
    return ", ".join(f"{a}..{b}" if a < b else f"{a}" for a, b in zip(starts, ends, strict=True))
