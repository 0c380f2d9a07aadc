# SPDX-License-Identifier: Apache-2.0
"""Options of networks of objects with which they train on synthetic scenes of 128 pixels in minutes on a CPU core."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_IMAGES = {"min_size": 128, "max_size": 160}

_BOXES: dict[str, Any] = {
    **_IMAGES,
    "decoder_channels": 64,
    "box_channels": 128,
    "anchor_sizes": [8, 16, 32, 64, 128],
    "rcnn_options": {
        "rpn_pre_nms_top_n_train": 200,
        "rpn_post_nms_top_n_train": 100,
        "rpn_pre_nms_top_n_test": 200,
        "rpn_post_nms_top_n_test": 100,
        "rpn_batch_size_per_image": 128,
        "box_batch_size_per_image": 64,
        "box_detections_per_img": 50,
    },
}
_MASKS = {**_BOXES, "mask_channels": 32}

SMALL_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "faster_rcnn": _BOXES,
    "mask_rcnn": _MASKS,
    "panoptic_fpn": {**_MASKS, "semantic_channels": 32, "stuff_area": 64},
    "mask2former": {
        **_IMAGES,
        "decoder_channels": 64,
        "heads": 4,
        "encoder_layers": 1,
        "decoder_layers": 3,
        "feedforward": 128,
        "decoder_feedforward": 128,
        "queries": 40,
        "points": 1024,
    },
}
"""By architecture; anchors, numbers of proposals and smallest areas follow from the size of the images."""
