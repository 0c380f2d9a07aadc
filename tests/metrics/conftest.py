# SPDX-License-Identifier: Apache-2.0
"""Label maps with large and small patches, stripes of consecutive ids, and ignored pixels."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor


def patches(rng: np.random.Generator, shape: tuple[int, int], classes: int) -> np.ndarray:
    labels = np.full(shape, rng.integers(classes))
    for _ in range(8):
        top, left = rng.integers(shape[0]), rng.integers(shape[1])
        height, width = rng.integers(1, 6, size=2)
        labels[top : top + height, left : left + width] = rng.integers(classes)
    stripes = rng.integers(shape[0]), rng.integers(shape[1])
    labels[stripes[0], stripes[1] : stripes[1] + classes] = np.arange(classes)[: shape[1] - stripes[1]]
    return labels


@pytest.fixture
def label_pairs() -> Callable[..., tuple[Tensor, Tensor]]:
    """Predictions and ground truth (B, H, W), int64, which agree in most pixels."""

    def make(
        shape: tuple[int, int, int], classes: int = 5, ignore_index: int = 255, seed: int = 0
    ) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng(seed)
        target = np.stack([patches(rng, shape[1:], classes) for _ in range(shape[0])])
        other = np.stack([patches(rng, shape[1:], classes) for _ in range(shape[0])])
        preds = np.where(rng.random(shape) < 0.2, other, np.roll(target, 1, axis=2))
        target[rng.random(shape) < 0.1] = ignore_index
        return torch.from_numpy(preds), torch.from_numpy(target)

    return make
