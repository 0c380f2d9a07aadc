# SPDX-License-Identifier: Apache-2.0
"""Cross entropy over the pixels of a batch, with pixels that do not count."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

Average = Literal["pixels", "valid"]
"""What the summed loss is divided by: all pixels of the batch, or those that count."""


def cross_entropy(logits: Tensor, target: Tensor, ignore_index: int = 255, average: Average = "pixels") -> Tensor:
    """Mean of ``-log softmax(logits)[target]``, computed in float32 whatever the logits' type.

    Dividing by all pixels makes losses of equally large batches add up: gradients accumulated over small batches, or
    averaged over processes, are those of the large batch, however the ignored pixels are spread. Dividing by the
    pixels that count weighs a batch with few of them as much as any other.

    Args:
        logits: (B, C, H, W), float.
        target: class ids in [0, C) or ``ignore_index``, (B, H, W), int64.
        ignore_index: the id of pixels that neither count nor get a gradient.
        average: ``"pixels"`` or ``"valid"``, see above.

    Returns:
        The loss, float32, without dimensions; 0 with zero gradients if no pixel counts.

    Raises:
        ValueError: the shapes do not fit, or ``average`` is unknown.

    >>> import torch
    >>> target = torch.tensor([[[0, 255]]])
    >>> [round(cross_entropy(torch.zeros(1, 2, 1, 2), target, average=a).item(), 3) for a in ("pixels", "valid")]
    [0.347, 0.693]
    """
    if logits.dim() != 4 or target.shape != (logits.shape[0], *logits.shape[2:]):
        raise ValueError(
            f"expected logits (B, C, H, W) and target (B, H, W), got {tuple(logits.shape)} and {tuple(target.shape)}"
        )
    total = F.cross_entropy(logits.float(), target, ignore_index=ignore_index, reduction="sum")
    if average == "pixels":
        return total / target.numel()
    if average == "valid":
        return total / (target != ignore_index).sum().clamp(min=1)
    raise ValueError(f"average must be 'pixels' or 'valid', got {average!r}")


class SegmentationLoss(nn.Module):
    """Cross entropy of the logits, plus a weighted one of the auxiliary logits where a network has them.

    Args:
        ignore_index: the id of pixels that do not count.
        auxiliary_weight: factor of the auxiliary loss; 0.4 in the published recipes.
        average: ``"pixels"`` or ``"valid"``, see :func:`cross_entropy`.
    """

    def __init__(self, ignore_index: int = 255, auxiliary_weight: float = 0.4, average: Average = "pixels") -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.auxiliary_weight = auxiliary_weight
        self.average: Average = average

    def forward(self, logits: Tensor, target: Tensor, auxiliary_logits: Tensor | None = None) -> Tensor:
        """Loss of a batch.

        Args:
            logits: (B, C, H, W).
            target: class ids, (B, H, W), int64.
            auxiliary_logits: (B, C, H, W), or None.

        Returns:
            Float32, without dimensions.
        """
        loss = cross_entropy(logits, target, self.ignore_index, self.average)
        if auxiliary_logits is None:
            return loss
        return loss + self.auxiliary_weight * cross_entropy(auxiliary_logits, target, self.ignore_index, self.average)
