# SPDX-License-Identifier: Apache-2.0
"""Metrics as torchmetrics: states that do not grow with the number of images, which processes add up."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from dealias.metrics.boundary_iou import boundary_areas
from dealias.metrics.segmentation import REGIONS, joint_histogram, segmentation_scores
from dealias.ops.label_edges import check_edges, check_width


class SegmentationMetrics(Metric):
    """Streaming scores of semantic segmentation, overall and near edges (arXiv:2403.09065).

    The state is one histogram of the whole data set, whatever the number of images; processes add theirs up. The scores
    are those of :func:`segmentation_scores` and independent of how the images are split into batches.

    Args:
        num_classes: number of classes C.
        ignore_index: the id in the ground truth of pixels that are not counted.
        edges: ``"exact"``, or ``"released"`` to compare with published tables, see :func:`dealias.metrics.label_edges`.
        width: width in pixels of the band around an edge, odd; 15 in the published tables, whatever the image's size.
        **kwargs: those of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: ``num_classes`` or ``width`` is out of range, or ``edges`` is unknown.

    >>> metrics = SegmentationMetrics(num_classes=2)
    >>> metrics.update(torch.tensor([[[0, 1, 1]]]), torch.tensor([[[0, 0, 1]]]))
    >>> metrics.compute()["mIoU"]
    tensor(0.5000, dtype=torch.float64)
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    histogram: Tensor

    def __init__(
        self, num_classes: int, ignore_index: int = 255, edges: str = "exact", width: int = 15, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if num_classes < 1:
            raise ValueError(f"num_classes must be positive, found {num_classes}")
        check_edges(edges)
        check_width(width)
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.edges = edges
        self.width = width
        empty = torch.zeros(REGIONS, num_classes, num_classes, dtype=torch.int64)
        self.add_state("histogram", empty, dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Counts a batch; see :func:`joint_histogram` for the shapes and errors."""
        self.histogram += joint_histogram(preds, target, self.num_classes, self.ignore_index, self.edges, self.width)

    def compute(self) -> dict[str, Tensor]:
        """The scores so far, see :func:`segmentation_scores`."""
        return segmentation_scores(self.histogram)


class BoundaryIoU(Metric):
    """Streaming Boundary IoU of semantic segmentation (Cheng et al. 2021, arXiv:2103.16562, eq. 2).

    Intersections and unions of each class are summed over the data set, then divided. It looks at boundaries alone:
    report it beside the mask IoU, or take the smaller of both as the paper does for panoptic segmentation.

    Args:
        num_classes: number of classes C.
        ignore_index: the id in the ground truth of pixels that belong to no class.
        dilation_ratio: thickness of the boundary as a part of the image's diagonal.
        **kwargs: those of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: ``num_classes`` or ``dilation_ratio`` is not positive.

    >>> metric = BoundaryIoU(num_classes=2)
    >>> metric.update(torch.tensor([[[0, 1, 1]]]), torch.tensor([[[0, 0, 1]]]))
    >>> metric.compute()["mBoundaryIoU"]
    tensor(0.5000, dtype=torch.float64)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    intersection: Tensor
    union: Tensor

    def __init__(self, num_classes: int, ignore_index: int = 255, dilation_ratio: float = 0.02, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_classes < 1:
            raise ValueError(f"num_classes must be positive, found {num_classes}")
        if not dilation_ratio > 0:
            raise ValueError(f"dilation_ratio must be positive, found {dilation_ratio}")
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.dilation_ratio = dilation_ratio
        for name in ("intersection", "union"):
            self.add_state(name, torch.zeros(num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Counts a batch; see :func:`boundary_areas` for the shapes and errors."""
        intersection, union = boundary_areas(preds, target, self.num_classes, self.ignore_index, self.dilation_ratio)
        self.intersection += intersection
        self.union += union

    def compute(self) -> dict[str, Tensor]:
        """``BoundaryIoU`` of each class, (C,), nan where absent, and their mean ``mBoundaryIoU``; float64 fractions."""
        scores = self.intersection.double() / self.union
        return {"mBoundaryIoU": scores.nanmean(), "BoundaryIoU": scores}
