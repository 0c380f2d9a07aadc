# SPDX-License-Identifier: Apache-2.0
"""Mask2Former with the weights of a model of transformers, as ``save_pretrained`` writes it or as its hub has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dealias.backbones import STRIDES
from dealias.backbones.transformers_encoder import TRANSFORMERS
from dealias.fusion import FusionFactory

from .detectors import MASK2FORMER, create_detector
from .mask2former import Mask2FormerModel
from .mask2former_options import TRANSFORMERS_NAMES, TRANSFORMERS_OPTIONS

_NAMES = {
    "model.pixel_level_module.encoder.": "encoder.body.",
    "model.pixel_level_module.decoder.": "pixel_decoder.",
    "model.transformer_module.": "transformer_module.",
    "class_predictor.": "class_predictor.",
}
"""Beginnings of transformers' keys to those here."""


class PretrainedMask2Former(NamedTuple):
    """A network with loaded weights."""

    model: Mask2FormerModel

    new_parts: list[str]
    """Names of its parameters that were not among the weights: they are as in an untrained network."""


def mask2former_from_pretrained(
    name_or_folder: str | Path,
    fusion: str | FusionFactory = "bilinear",
    *,
    things: Sequence[int] | None = None,
    classes: int | None = None,
    fusion_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> PretrainedMask2Former:
    """Build the network of a model of transformers, with its own backbone, and load its weights.

    With ``fusion="bilinear"`` it computes what transformers does. Its ``config`` rebuilds it without the file.

    Args:
        name_or_folder: a folder that ``save_pretrained`` wrote, or a name on the hub, such as
            ``facebook/mask2former-swin-tiny-coco-panoptic``.
        fusion: as in :func:`dealias.models.create_detector`.
        things: the labels of transformers, from 0, that are things here, in this order; the others, in theirs, are
            stuff. None: all are things. For models of COCO's panoptic segmentation it is ``range(80)``.
        classes: number of thing categories for a class predictor that is new, with the option ``stuff_classes``; None:
            the categories of the model.
        fusion_options: options of the fusion of that name.
        options: of :class:`~dealias.models.mask2former_options.Mask2FormerOptions`; they go before the model's own.

    Raises:
        ImportError: transformers is not installed.
        OSError: no such folder or name.
        ValueError: labels that there are not, unknown options, or a model with other strides.
    """
    try:
        from transformers import Mask2FormerForUniversalSegmentation
    except ImportError as error:
        raise ImportError("Mask2Former needs transformers: pip install 'dealias[mask2former]'") from error
    source = Mask2FormerForUniversalSegmentation.from_pretrained(name_or_folder, dtype=torch.float32)
    found: Any = source.config
    if found.common_stride != STRIDES[0] or tuple(found.feature_strides) != STRIDES:
        raise ValueError(f"{name_or_folder}: features must be at strides {STRIDES}, got {tuple(found.feature_strides)}")
    weights = _renamed(source.state_dict())
    own_options = _options(found)
    if classes is None:
        order = _order(things, found.num_labels)
        classes = found.num_labels if things is None else len(things)
        own_options["stuff_classes"] = found.num_labels - classes
        weights |= {name: weights[name][order] for name in ("class_predictor.weight", "class_predictor.bias")}
    else:
        weights = {name: x for name, x in weights.items() if not name.startswith("class_predictor.")}
    model: Any = create_detector(
        MASK2FORMER,
        f"{TRANSFORMERS}_{found.backbone_config.model_type}",
        in_channels=found.backbone_config.num_channels,
        classes=classes,
        fusion=fusion,
        fusion_options=fusion_options,
        encoder_options=_backbone_options(found.backbone_config),
        **(own_options | options),
    )
    model.network.load_state_dict(weights, strict=False)
    new_parts = [name for name, _ in model.named_parameters() if name.removeprefix("network.") not in weights]
    return PretrainedMask2Former(model, new_parts)


def _renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        new + name.removeprefix(old): x
        for name, x in weights.items()
        for old, new in _NAMES.items()
        if name.startswith(old)
    }


def _order(things: Sequence[int] | None, labels: int) -> list[int]:
    """The rows of a class predictor, things first; the last is that of no object."""
    things = range(labels) if things is None else things
    wrong = [label for label in things if not 0 <= label < labels]
    if wrong or len(set(things)) < len(things) or not len(things):
        raise ValueError(f"things must be different labels from 0 to {labels - 1}, got {list(things)}")
    return [*things, *(label for label in range(labels) if label not in things), labels]


def _options(config: Any) -> dict[str, Any]:
    """Options of the network from transformers' configuration."""
    return {
        **{option: getattr(config, name) for option, name in TRANSFORMERS_NAMES.items()},
        "decoder_channels": config.feature_size,
        "decoder_layers": config.decoder_layers - 1,
        "transformers_options": {name: getattr(config, name) for name in TRANSFORMERS_OPTIONS},
    }


def _backbone_options(config: Any) -> dict[str, Any]:
    """The fields of a backbone's configuration that are its own."""
    from transformers import PreTrainedConfig

    names = {field.name for field in fields(config)} - {field.name for field in fields(PreTrainedConfig)}
    own = {name: getattr(config, name) for name in names - {"num_channels"}}
    return own | {"out_features": list(config.out_features)}
