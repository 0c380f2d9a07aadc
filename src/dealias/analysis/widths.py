# SPDX-License-Identifier: Apache-2.0
"""How much of a thin object a segmentation finds, by the object's width."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


class WidthRecall:
    """Pixel recall of the objects of one class, collected over images, by width.

    recall(w) = pixels of objects of width w that are predicted as ``label`` / all visible pixels of objects of width w.
    Widths are rounded to whole pixels (half goes up).

    Args:
        label: the class id of the objects.

    >>> recall = WidthRecall(label=3)
    >>> recall.update(np.array([[3, 0]]), np.array([[7, 7]]), {7: 2.2})
    >>> recall.compute()
    {2: 0.5}
    """

    def __init__(self, label: int) -> None:
        self.label = label
        self._found: Counter[int] = Counter()
        self._total: Counter[int] = Counter()

    def update(
        self, prediction: NDArray[np.integer], instances: NDArray[np.integer], widths: Mapping[int, float]
    ) -> None:
        """Add one image.

        Args:
            prediction: predicted class ids, [H, W].
            instances: object ids, [H, W]; ids that are not in ``widths`` are not counted.
            widths: width in pixels of each object of the class, by object id.

        Raises:
            ValueError: the two maps differ in size.
        """
        if prediction.shape != instances.shape:
            raise ValueError(f"prediction {prediction.shape} and instances {instances.shape} must have one size")
        found = prediction == self.label
        for identity, width in widths.items():
            pixels = instances == identity
            self._total[int(width + 0.5)] += int(pixels.sum())
            self._found[int(width + 0.5)] += int((pixels & found).sum())

    def compute(self) -> dict[int, float]:
        """Recall by width in pixels, 0 to 1; widths of which no pixel was visible are left out."""
        return {width: self._found[width] / total for width, total in sorted(self._total.items()) if total}
