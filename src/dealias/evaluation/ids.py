# SPDX-License-Identifier: Apache-2.0
"""Which ids a label map holds, and which of them should not be there."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from .problems import shortened


def id_counts(labels: Tensor) -> dict[int, int]:
    """Number of pixels of each id that occurs, in the order of the ids.

    >>> id_counts(torch.tensor([[3, 1], [3, 3]], dtype=torch.uint8))
    {1: 1, 3: 3}
    """
    if labels.dtype == torch.uint8:
        counts = torch.bincount(labels.flatten(), minlength=256)
        ids = counts.nonzero().flatten()
        return dict(zip(ids.tolist(), counts[ids].tolist(), strict=True))
    ids, counts = labels.unique(return_counts=True)
    return dict(zip(ids.tolist(), counts.tolist(), strict=True))


def unknown_ids(ids: Iterable[int], num_classes: int, ignored: tuple[int, ...] = ()) -> str | None:
    """The sentence on ids that are neither a class nor ignored; ``None`` if there are none.

    >>> unknown_ids([0, 1, 7, 255], 2, ignored=(255,))
    'ids 7 found, expected class ids 0..1 or ignored (255)'
    """
    unknown = [label for label in ids if not 0 <= label < num_classes and label not in ignored]
    if not unknown:
        return None
    expected = f"class ids 0..{num_classes - 1}" + (f" or ignored ({shortened(ignored)})" if ignored else "")
    return f"ids {shortened(unknown)} found, expected {expected}"
