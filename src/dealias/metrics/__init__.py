# SPDX-License-Identifier: Apache-2.0
"""Metrics that stream: their state does not grow with the number of images, and processes add theirs up.

The classes are imported when they are first used: the functions that count must not load torchmetrics.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dealias.metrics.boundary_iou import (
    boundary_areas,
    boundary_dilation,
    boundary_overlap,
    inner_boundaries,
    label_boundary,
    mask_to_boundary,
)
from dealias.metrics.edges import boundary_regions
from dealias.metrics.labels import remap_labels
from dealias.metrics.segmentation import joint_histogram, region_histogram, segmentation_scores
from dealias.ops.label_edges import dilate, label_edges

if TYPE_CHECKING:
    from dealias.metrics.streaming import BoundaryIoU, SegmentationMetrics

__all__ = [
    "BoundaryIoU",
    "SegmentationMetrics",
    "boundary_areas",
    "boundary_dilation",
    "boundary_overlap",
    "boundary_regions",
    "dilate",
    "inner_boundaries",
    "joint_histogram",
    "label_boundary",
    "label_edges",
    "mask_to_boundary",
    "region_histogram",
    "remap_labels",
    "segmentation_scores",
]


def __getattr__(name: str) -> Any:
    if name in ("BoundaryIoU", "SegmentationMetrics"):
        return getattr(import_module("dealias.metrics.streaming"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
