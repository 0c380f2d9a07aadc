# SPDX-License-Identifier: Apache-2.0
"""Metrics that stream: their state does not grow with the number of images, and processes add theirs up."""

from dealias.metrics.boundary_iou import (
    BoundaryIoU,
    boundary_areas,
    boundary_dilation,
    label_boundary,
    mask_to_boundary,
)
from dealias.metrics.edges import boundary_regions, dilate, label_edges
from dealias.metrics.labels import remap_labels
from dealias.metrics.segmentation import (
    SegmentationMetrics,
    joint_histogram,
    region_histogram,
    segmentation_scores,
)

__all__ = [
    "BoundaryIoU",
    "SegmentationMetrics",
    "boundary_areas",
    "boundary_dilation",
    "boundary_regions",
    "dilate",
    "joint_histogram",
    "label_boundary",
    "label_edges",
    "mask_to_boundary",
    "region_histogram",
    "remap_labels",
    "segmentation_scores",
]
