# SPDX-License-Identifier: Apache-2.0
"""Heads of torchvision's detectors whose last outputs are float32 under autocast, as boxes are computed in their type.

bfloat16 cannot hold a coordinate of 128.5 pixels. Keys and numbers are torchvision's.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.models.detection import faster_rcnn, mask_rcnn, rpn


class RPNHead(rpn.RPNHead):
    """Objectness and box regression of every anchor."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Predict from levels [B, C, H_i, W_i]."""
        objectness, regression = super().forward(x)
        return [_widened(y) for y in objectness], [_widened(y) for y in regression]


class BoxPredictor(faster_rcnn.FastRCNNPredictor):
    """Class scores and box regression of every proposal."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Predict from [N, C]."""
        scores, regression = super().forward(x)
        return _widened(scores), _widened(regression)


class MaskPredictor(mask_rcnn.MaskRCNNPredictor):
    """Mask logits of every class for every proposal."""

    def forward(self, x: Tensor) -> Tensor:
        """Predict from [N, C, H, W]."""
        return _widened(super().forward(x))


def _widened(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
