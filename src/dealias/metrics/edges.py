# SPDX-License-Identifier: Apache-2.0
"""Bands around predicted and true label edges, where sampling errors show (hard-pixel metrics, arXiv:2403.09065)."""

import torch
from torch import Tensor

from dealias.ops.label_edges import dilate, label_edges

PREDICTED_BAND = 1
TARGET_BAND = 2


def boundary_regions(preds: Tensor, target: Tensor, edges: str = "exact", width: int = 15) -> Tensor:
    """Which pixels lie in the band around the predicted edges, and which around those of the ground truth.

    Args:
        preds: predicted ids, (..., H, W), any integer type.
        target: ground-truth ids, same shape; an ignored id counts as a label.
        edges: see :func:`label_edges`.
        width: side in pixels of the square that widens the edges, odd; 15 in the published tables.

    Returns:
        (..., H, W), uint8: 0 in neither band, 1 (``PREDICTED_BAND``), 2 (``TARGET_BAND``), or 3 in both.

    Raises:
        ValueError: ``edges`` is unknown or ``width`` is not odd and positive.
    """
    predicted = label_edges(preds, edges).view(torch.uint8)
    expected = label_edges(target, edges).view(torch.uint8)
    return dilate(predicted * PREDICTED_BAND | expected * TARGET_BAND, width)
