# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of detectron2's Mask2Former (arXiv:2112.01527), with FreqFusion too (arXiv:2408.12879).

They hold a ResNet or Swin Transformer under ``backbone``, and ``sem_seg_head.pixel_decoder`` and
``sem_seg_head.predictor``. The network is transformers', so that this must be installed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from dealias.models import create_model

from .freqfusion_options import FIXED, FIXED_REASON, freqfusion_options
from .mask2former_names import IDLE, RULES, STAGES
from .plan import Plan
from .renaming import shape_of
from .resnet import find_resnet

_PIXELS, _QUERIES = "sem_seg_head.pixel_decoder.", "sem_seg_head.predictor."
_FUSIONS = f"{_PIXELS}freqfusions."
_SPLIT = re.compile(r"\.attn\.qkv\.(weight|bias)$|\.self_attn\.in_proj_(weight|bias)$")
_LEVELS, _POINTS = 3, 4
"""Of the deformable attention: levels, and points on each for every head."""


def plan(
    state_dict: Mapping[str, Tensor],
    *,
    things: int | Sequence[int] | None = None,
    fusion_options: Mapping[str, Any] | None = None,
    detector_options: Mapping[str, Any] | None = None,
) -> Plan:
    """Build the network of a published checkpoint.

    Args:
        state_dict: tensors by their published names.
        things: the categories of the checkpoint, from 0, that are things here, in this order, or the number of the
            first ones that are; the others, in their order, are stuff. None: all are things. For COCO's panoptic
            segmentation it is 80.
        fusion_options: options of :class:`~dealias.fusion.FreqFusion` that a checkpoint does not tell, where they are
            not the published ones: ``semi_conv``, ``comp_feat_upsample``.
        detector_options: further options of :func:`dealias.models.create_detector`, such as ``{"min_size": 640}``. The
            batch norms of a ResNet are frozen by default.

    Raises:
        ImportError: transformers is not installed.
        ValueError: another network than the published ones.
    """
    left_out = {key: FIXED_REASON for key in state_dict if key.startswith(_FUSIONS) and FIXED.search(key)}
    left_out |= {key: "an index, computed here" for key in state_dict if key.endswith(".relative_position_index")}
    left_out |= {key: "counter of frozen norms" for key in state_dict if key.endswith("num_batches_tracked")}
    left_out |= {key: "in the options of the network" for key in ("pixel_mean", "pixel_std") if key in state_dict}
    weights = {key: value for key, value in state_dict.items() if key not in left_out}
    categories = shape_of(weights, f"{_QUERIES}class_embed.weight")[0] - 1
    order, classes = _order(things, categories)
    fixed = {key: state_dict[key] for key in left_out}
    arguments = {
        **_encoder(weights),
        **_fusion(weights, fixed, fusion_options or {}),
        **_sizes(weights),
        **_normalisation(state_dict),
    }
    network = create_model(
        "mask2former",
        classes=classes,
        stuff_classes=categories - classes,
        **(arguments | dict(detector_options or {})),
    )
    for name in (f"{_QUERIES}class_embed.weight", f"{_QUERIES}class_embed.bias"):
        weights[name] = weights[name][order]
    return Plan(network, _split(weights), RULES, left_out, IDLE)


def _order(things: int | Sequence[int] | None, categories: int) -> tuple[list[int], int]:
    """Rows of the class predictor, things first and that of no object last; and the number of things."""
    chosen = list(range(categories if things is None else things)) if not isinstance(things, Sequence) else list(things)
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(range(categories)):
        raise ValueError(f"things must be different categories from 0 to {categories - 1}, got {things}")
    return [*chosen, *(i for i in range(categories) if i not in chosen), categories], len(chosen)


def _encoder(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The arguments of ``create_model`` for the backbone."""
    if "backbone.patch_embed.proj.weight" not in weights:
        channels = shape_of(weights, "backbone.stem.conv1.weight")[1]
        return {"encoder_name": find_resnet(weights, STAGES), "in_channels": channels, "norm": "frozen"}
    width, channels, patch, _ = shape_of(weights, "backbone.patch_embed.proj.weight")
    blocks = {m.groups() for key in weights if (m := re.match(r"backbone\.layers\.(\d)\.blocks\.(\d+)\.", key))}
    tables = [f"backbone.layers.{n}.blocks.0.attn.relative_position_bias_table" for n in range(4)]
    hidden = shape_of(weights, "backbone.layers.0.blocks.0.mlp.fc1.weight")[0]
    return {
        "encoder_name": "transformers_swin",
        "in_channels": channels,
        "encoder_options": {
            "embed_dim": width,
            "depths": [sum(level == str(n) for level, _ in blocks) for n in range(4)],
            "num_heads": [shape_of(weights, table)[1] for table in tables],
            "window_size": (math.isqrt(shape_of(weights, tables[0])[0]) + 1) // 2,
            "patch_size": patch,
            "mlp_ratio": hidden / width,
        },
    }


def _fusion(weights: Mapping[str, Tensor], fixed: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``create_model`` for the fusions."""
    compressor = f"{_FUSIONS}0.hr_channel_compressor.weight"
    if compressor in weights:
        told = freqfusion_options(weights, fixed, f"{_FUSIONS}0.")
        told["compressed_channels"] = weights[compressor].shape[0]
        return {"fusion": "freqfusion", "fusion_options": told | dict(options)}
    if options:
        raise ValueError(f"the checkpoint has no FreqFusion to give the options {dict(options)}")
    return {"fusion": "bilinear"}


def _sizes(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """What shapes and names tell of the pixel decoder and the queries."""
    masks, width = shape_of(weights, f"{_PIXELS}mask_features.weight")[:2]
    attention = f"{_PIXELS}transformer.encoder.layers.0."
    queries, hidden = shape_of(weights, f"{_QUERIES}query_feat.weight")
    return {
        "decoder_channels": width,
        "heads": shape_of(weights, f"{attention}self_attn.sampling_offsets.weight")[0] // (2 * _LEVELS * _POINTS),
        "feedforward": shape_of(weights, f"{attention}linear1.weight")[0],
        "decoder_feedforward": shape_of(weights, f"{_QUERIES}transformer_ffn_layers.0.linear1.weight")[0],
        "encoder_layers": _count(weights, f"{_PIXELS}transformer.encoder.layers."),
        "decoder_layers": _count(weights, f"{_QUERIES}transformer_ffn_layers."),
        "queries": queries,
        "transformers_options": {
            "mask_feature_size": masks,
            "hidden_dim": hidden,
            "enforce_input_projection": f"{_QUERIES}input_proj.0.weight" in weights,
        },
    }


def _count(weights: Mapping[str, Tensor], prefix: str) -> int:
    return len({key.removeprefix(prefix).partition(".")[0] for key in weights if key.startswith(prefix)})


def _normalisation(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Mean and standard deviation where the checkpoint has them; its images are 0 to 255."""
    names = {"image_mean": "pixel_mean", "image_std": "pixel_std"}
    return {name: (weights[key] / 255).flatten().tolist() for name, key in names.items() if key in weights}


def _split(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Queries, keys and values apart where they are apart here."""
    split = {key: value.chunk(3) for key, value in weights.items() if _SPLIT.search(key)}
    parts = {f"{key}[{name}]": part for key, three in split.items() for name, part in zip("qkv", three, strict=True)}
    return {key: value for key, value in weights.items() if key not in split} | parts
