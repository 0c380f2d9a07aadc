# SPDX-License-Identifier: Apache-2.0
"""Metrics that stream: their state is sums, or a few numbers per object, which processes bring together.

The classes are imported when they are first used: the functions that count must not load torchmetrics or pycocotools.
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
from dealias.metrics.panoptic_counts import PanopticCounts, panoptic_counts, panoptic_qualities
from dealias.metrics.panoptic_edges import panoptic_histogram
from dealias.metrics.panoptic_maps import PanopticMap, Segments, number_segments, panoptic_map
from dealias.metrics.segmentation import joint_histogram, region_histogram, segmentation_scores
from dealias.ops.label_edges import dilate, label_edges

if TYPE_CHECKING:
    from dealias.metrics.coco_ap import CocoAP
    from dealias.metrics.panoptic import PanopticEdgeMetrics, PanopticQuality
    from dealias.metrics.streaming import BoundaryIoU, SegmentationMetrics

__all__ = [
    "BoundaryIoU",
    "CocoAP",
    "PanopticCounts",
    "PanopticEdgeMetrics",
    "PanopticMap",
    "PanopticQuality",
    "SegmentationMetrics",
    "Segments",
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
    "number_segments",
    "panoptic_counts",
    "panoptic_histogram",
    "panoptic_map",
    "panoptic_qualities",
    "region_histogram",
    "remap_labels",
    "segmentation_scores",
]

_MODULES = {
    "BoundaryIoU": "streaming",
    "CocoAP": "coco_ap",
    "PanopticEdgeMetrics": "panoptic",
    "PanopticQuality": "panoptic",
    "SegmentationMetrics": "streaming",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
