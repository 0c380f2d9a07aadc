# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of mmdetection: Faster R-CNN, Mask R-CNN and Panoptic FPN, with FreqFusion's pyramid (arXiv:2408.12879).

They hold a ResNet under ``backbone``, FPN or FreqFusion's pyramid under ``neck``, and ``rpn_head``, ``roi_head`` and
perhaps ``semantic_head``. Anchors and regions are then those of mmdetection too; see ``docs/published_weights.md`` for
what stays different.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dealias.models import create_model

from .freqfusion_options import FIXED, FIXED_REASON, freqfusion_options
from .plan import Plan
from .renaming import Rules, shape_of
from .resnet import find_resnet
from .segnext_names import FUSION

_FUSED_LEVEL = "neck.lateral_convs.4."
_MASKS, _SEMANTIC = "roi_head.mask_head.", "semantic_head."
_PADDING = 64
"""Images of the published networks with a fused fifth level are padded to whole multiples of this many pixels."""

_RULES: Rules = {
    r"^backbone\.encoder\.body\.": "backbone.",
    r"^backbone\.neck\.inner_blocks\.(\d)\.0\.": r"neck.lateral_convs.\1.conv.",
    r"^backbone\.neck\.layer_blocks\.(\d)\.0\.": r"neck.fpn_convs.\1.conv.",
    **{rf"^backbone\.neck\.path\.fusions\.(\d)\.{own}": rf"neck.alignment.\1.{name}" for own, name in FUSION.items()},
    r"^backbone\.neck\.path\.fusions\.": "neck.alignment.",
    r"^rpn\.head\.conv\.0\.0\.": "rpn_head.rpn_conv.",
    r"^rpn\.head\.cls_logits\.": "rpn_head.rpn_cls.",
    r"^rpn\.head\.bbox_pred\.": "rpn_head.rpn_reg.",
    r"^roi_heads\.box_head\.fc6\.": "roi_head.bbox_head.shared_fcs.0.",
    r"^roi_heads\.box_head\.fc7\.": "roi_head.bbox_head.shared_fcs.1.",
    r"^roi_heads\.box_predictor\.cls_score\.": "roi_head.bbox_head.fc_cls.",
    r"^roi_heads\.box_predictor\.bbox_pred\.": "roi_head.bbox_head.fc_reg.",
    r"^roi_heads\.mask_head\.(\d)\.0\.": r"roi_head.mask_head.convs.\1.conv.",
    r"^roi_heads\.mask_predictor\.conv5_mask\.": "roi_head.mask_head.upsample.",
    r"^roi_heads\.mask_predictor\.mask_fcn_logits\.": "roi_head.mask_head.conv_logits.",
    r"^semantic_head\.branches\.(\d)\.blocks\.(\d)\.0\.": r"semantic_head.conv_upsample_layers.\1.conv.\2.conv.",
    r"^semantic_head\.branches\.(\d)\.blocks\.(\d)\.1\.": r"semantic_head.conv_upsample_layers.\1.conv.\2.gn.",
    r"^semantic_head\.classifier\.1\.": "semantic_head.conv_logits.",
}


def plan(
    state_dict: Mapping[str, Tensor],
    *,
    fusion_options: Mapping[str, Any] | None = None,
    detector_options: Mapping[str, Any] | None = None,
) -> Plan:
    """Build the network of a published checkpoint.

    Its background comes first, as in torchvision, and its things before its stuff; in the checkpoint both are last.

    Args:
        state_dict: tensors by their published names.
        fusion_options: options of :class:`~dealias.fusion.FreqFusion` that a checkpoint does not tell, where they are
            not the published ones: ``semi_conv``, ``comp_feat_upsample``.
        detector_options: further options of :func:`dealias.models.create_detector`, such as ``{"min_size": 640}``. By
            default batch norms are frozen and so are stem and first stage, as in mmdetection's schedules, but for the
            weights of the norms, which learn there.

    Raises:
        ValueError: another network than the published ones.
    """
    left_out = {key: FIXED_REASON for key in state_dict if key.startswith("neck.") and FIXED.search(key)}
    left_out |= {key: "counter of frozen norms" for key in state_dict if _is_counter(key)}
    found = _fusion(state_dict, fusion_options or {})
    if found["extra_level"] == "pooled":  # the published neck has one fusion more than it needs then
        left_out |= {key: "never read" for key in state_dict if key.startswith("neck.alignment.3.")}
    arguments = _sizes(state_dict) | found | {"norm": "frozen", "frozen_stages": 1, "boxes": "mmdetection"}
    network = create_model(
        **_heads(state_dict),
        encoder_name=find_resnet(state_dict),
        in_channels=shape_of(state_dict, "backbone.conv1.weight")[1],
        **(arguments | dict(detector_options or {})),
    )
    used = {key: value for key, value in state_dict.items() if key not in left_out}
    return Plan(network, _reordered(used), _RULES, left_out)


def _is_counter(key: str) -> bool:
    return key.startswith("backbone.") and key.endswith(".num_batches_tracked")


def _heads(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Architecture and numbers of classes."""
    classes = shape_of(weights, "roi_head.bbox_head.fc_cls.weight")[0] - 1
    boxes = shape_of(weights, "roi_head.bbox_head.fc_reg.weight")[0]
    if boxes != 4 * classes:
        raise ValueError(f"roi_head.bbox_head.fc_reg must have {4 * classes} rows for {classes} classes, found {boxes}")
    if not any(key.startswith(_MASKS) for key in weights):
        return {"arch": "faster_rcnn", "classes": classes}
    if not any(key.startswith(_SEMANTIC) for key in weights):
        return {"arch": "mask_rcnn", "classes": classes}
    stuff = shape_of(weights, "semantic_head.conv_logits.weight")[0] - 1
    return {"arch": "panoptic_fpn", "classes": classes, "stuff_classes": stuff}


def _sizes(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Widths of the parts that there are."""
    widths = {
        "decoder_channels": "neck.fpn_convs.0.conv.weight",
        "box_channels": "roi_head.bbox_head.shared_fcs.0.weight",
    }
    if any(key.startswith(_MASKS) for key in weights):
        widths["mask_channels"] = "roi_head.mask_head.convs.0.conv.weight"
    if any(key.startswith(_SEMANTIC) for key in weights):
        widths["semantic_channels"] = "semantic_head.conv_upsample_layers.0.conv.0.conv.weight"
    return {name: shape_of(weights, key)[0] for name, key in widths.items()}


def _fusion(weights: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``create_model`` for the pyramid."""
    fused = any(key.startswith(_FUSED_LEVEL) for key in weights)
    found: dict[str, Any] = {
        "extra_level": "fused" if fused else "pooled",
        "size_divisible": _PADDING if fused else 32,
        "fusion": "nearest",
    }
    if "neck.alignment.0.hr_channel_compressor.weight" in weights:
        guide = shape_of(weights, "neck.alignment.0.hr_channel_compressor.weight")[0]
        told = freqfusion_options(weights, weights, "neck.alignment.0.")
        options = {"compressed_channels": guide} | told | dict(options)
        return found | {"fusion": "freqfusion", "fusion_options": options}
    if options:
        raise ValueError(f"the checkpoint has no FreqFusion to give the options {dict(options)}")
    return found


def _reordered(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Background and things first; a background has no boxes and no masks, so that theirs are zeros, which are idle."""
    heads = "roi_head.bbox_head.fc_cls.", "semantic_head.conv_logits."
    empty = {"roi_head.bbox_head.fc_reg.": 4, "roi_head.mask_head.conv_logits.": 1}
    changed = {key: value.roll(1, 0) for key, value in weights.items() if key.startswith(heads)}
    for prefix, rows in empty.items():
        for key, value in weights.items():
            if key.startswith(prefix):
                changed[key] = torch.cat([value.new_zeros(rows, *value.shape[1:]), value])
    return {**weights, **changed}
