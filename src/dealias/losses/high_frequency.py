# SPDX-License-Identifier: Apache-2.0
"""The semantic high-frequency loss: attention belongs where labels change (SFM, TPAMI 2025, arXiv:2507.11893)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dealias.ops.label_edges import dilate
from dealias.ops.warp import Warp

_BAND = 5
"""Side of the square that edges are dilated with, pixels of the labels."""


def semantic_high_frequency_loss(
    attentions: Sequence[Tensor], target: Tensor, ignore_index: int = 255, warps: Sequence[Warp] = ()
) -> Tensor:
    """Mean squared difference between attention maps and the band around the edges of the labels.

    A pixel is on an edge if one of its eight neighbours has another label. (Then the Laplacian of the ids over these
    neighbours is not zero, unless the ids happen to cancel.) Edges are dilated by a 5x5 square. Pixels that are
    ignored, or have an ignored one among these neighbours, are unknown: no edge, and they do not count.

    On the grid of an attention, what is wanted of a pixel is the share of the band in its known area, divided by the
    mean of these shares over the known area of the image: mean 1, as the attention has. So labels of any size lead to
    much the same, and thin structures keep their weight on coarse grids. Where an image has no edge, 1 is wanted
    everywhere. Labels coarser than an attention are repeated.

    Each pixel counts as much as the share of its area that is known. The loss is averaged over these, then over images
    (one without known pixels gives 0), then over attentions. The target has no gradient.

    An attention behind other warps lies on a warped grid; with ``warps`` the labels' band and known area are warped
    alike.

    Args:
        attentions: maps of mean 1, [B, 1, h, w], of any sizes, shallowest first; at least one.
        target: class ids or ``ignore_index``, [B, H, W], any integer type and any size.
        ignore_index: the id of pixels without ground truth.
        warps: the warp that each attention led to, in the same order; none: all grids are regular.

    Returns:
        Float32 (float64 for such attentions), without dimensions.

    Raises:
        ValueError: the shapes or numbers do not fit, or the target is not of integers.

    >>> labels = torch.tensor([[[0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]]])
    >>> semantic_high_frequency_loss([torch.ones(1, 1, 1, 12)], labels).item()  # wanted: 2 at 6 pixels, 0 at 6
    1.0
    """
    _check(attentions, target, warps)
    band_and_known = _areas(target, ignore_index)
    losses = []
    for index, attention in enumerate(attentions):
        band_and_known = F.adaptive_avg_pool2d(band_and_known, (attention.shape[2], attention.shape[3]))
        band, known = band_and_known.split(1, dim=1)
        wide = attention.to(torch.promote_types(attention.dtype, torch.float32))
        losses.append(_image_means((wide - _wanted(band, known)).square(), known).mean())
        if warps and index + 1 < len(attentions):
            band_and_known = warps[index].detach().apply(band_and_known)
    return torch.stack(losses).mean()


class SemanticHighFrequencyLoss(nn.Module):
    """:func:`semantic_high_frequency_loss` as a module; the published recipes weigh it by 100.

    Args:
        ignore_index: the id of pixels without ground truth.
    """

    def __init__(self, ignore_index: int = 255) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, attentions: Sequence[Tensor], target: Tensor, warps: Sequence[Warp] = ()) -> Tensor:
        """Loss of a batch; arguments and errors are those of :func:`semantic_high_frequency_loss`."""
        return semantic_high_frequency_loss(attentions, target, self.ignore_index, warps)


def _check(attentions: Sequence[Tensor], target: Tensor, warps: Sequence[Warp]) -> None:
    if target.ndim != 3 or target.is_floating_point() or target.is_complex():
        raise ValueError(f"target must be integers [B, H, W], got {target.dtype} {tuple(target.shape)}")
    shapes = [tuple(attention.shape) for attention in attentions]
    if not shapes or any(len(shape) != 4 or shape[:2] != (target.shape[0], 1) for shape in shapes):
        raise ValueError(f"attentions must be [{target.shape[0]}, 1, h, w], at least one, got {shapes}")
    if warps and len(warps) != len(attentions):
        raise ValueError(f"needs one warp per attention or none, got {len(warps)} for {len(attentions)}")


def _areas(target: Tensor, ignore_index: int) -> Tensor:
    """What of the labels is known and in the band, and what is known: [B, 2, H, W], 0 or 1."""
    ids = target[:, None].float()
    highest, lowest = F.max_pool2d(ids, 3, 1, 1), -F.max_pool2d(-ids, 3, 1, 1)
    known = ~dilate(target == ignore_index, 3)[:, None]
    band = dilate((highest != lowest) & known, _BAND)
    return torch.cat([band & known, known], dim=1).float()


def _wanted(band: Tensor, known: Tensor) -> Tensor:
    """The share of the band in the known area, over its mean: [B, 1, h, w]; 1 everywhere where there is no band."""
    share = band / torch.where(known > 0, known, 1)
    mean = _image_means(share, known)
    return torch.where(mean > 0, share / mean, 1)


def _image_means(values: Tensor, known: Tensor) -> Tensor:
    """Mean of each image [B, 1, h, w], pixels weighed by what is known of them: [B, 1, 1, 1]; 0 where nothing is."""
    total = known.sum(dim=(2, 3), keepdim=True)
    return (values * known).sum(dim=(2, 3), keepdim=True) / torch.where(total > 0, total, 1)
