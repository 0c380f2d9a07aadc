# SPDX-License-Identifier: Apache-2.0
"""Networks of objects by name: ``create_detector``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from dealias.backbones import create_encoder
from dealias.backbones.norms import freeze_batch_norms, freeze_stages, set_norm_epsilon
from dealias.fusion import FusionFactory, create_fusion

from .arguments import check_counts, describe_fusion, fusion_factory, plain
from .checkpointing import checkpoint_activations_
from .detection import DetectionModel
from .detector_options import DetectorOptions
from .insertions import insert_mixers, insert_prefilters
from .mask2former_options import Mask2FormerOptions, mask2former_fusion
from .rcnn import RCNNS

MASK2FORMER = "mask2former"

DETECTORS: dict[str, type[DetectorOptions]] = {**RCNNS, MASK2FORMER: Mask2FormerOptions}
"""Every network of objects by name: its options, which build it."""


def create_detector(
    arch: str,
    encoder_name: str = "resnet50",
    encoder_weights: str | None = None,
    in_channels: int = 3,
    classes: int = 19,
    fusion: str | FusionFactory = "bilinear",
    prefilter: str | None = None,
    mixer: str | None = None,
    *,
    fusion_options: Mapping[str, Any] | None = None,
    prefilter_options: Mapping[str, Any] | None = None,
    mixer_options: Mapping[str, Any] | None = None,
    released: bool = False,
    encoder_options: Mapping[str, Any] | None = None,
    drop_path_rate: float = 0.0,
    activation_checkpointing: bool = False,
    **options: Any,
) -> DetectionModel:
    """Build a network of objects.

    Faster R-CNN, Mask R-CNN and Panoptic FPN are torchvision's but for encoder, pyramid and what is put into them. With
    ``fusion="nearest"`` and a ResNet the numbers are torchvision's too, and :func:`dealias.compat.load_torchvision_`
    loads its published weights. Mask2Former is transformers' but for encoder and fusions:
    :func:`~dealias.models.mask2former_from_pretrained` loads its published weights.

    One seed gives networks that differ in fusion, prefilter or mixer alone the same other weights.

    Args:
        arch: ``"faster_rcnn"``, ``"mask_rcnn"``, ``"panoptic_fpn"`` or ``"mask2former"``.
        encoder_name: as in :func:`dealias.models.create_model`, and so are all that are not described here.
        encoder_weights: before its norms are frozen.
        in_channels: channels of the images, which are 0 to 1 and normalised by the network itself.
        classes: number of classes of objects, or thing categories: labels are 1 to ``classes``. torchvision's weights
            for COCO have 90.
        fusion: in the top-down path of the pyramid, or in Mask2Former's pixel decoder.
        prefilter: at the inputs of the encoder's later stages.
        mixer: in the blocks of these stages.
        fusion_options: options of the fusion of that name. The published Panoptic FPN with FreqFusion has
            ``{"feature_resample_norm": False}``, which Mask2Former has by default.
        prefilter_options: options of the prefilter.
        mixer_options: options of the mixer.
        released: compute prefilter and mixer as the published code does.
        encoder_options: further arguments of the backbone.
        drop_path_rate: stochastic depth of the encoder, in [0, 1).
        activation_checkpointing: see :func:`~dealias.models.checkpoint_activations_`.
        options: of the architecture, see :class:`~dealias.models.rcnn.FasterRCNNOptions`,
            :class:`~dealias.models.rcnn.MaskRCNNOptions`, :class:`~dealias.models.rcnn.PanopticFPNOptions` and
            :class:`~dealias.models.mask2former_options.Mask2FormerOptions`.

    Raises:
        ImportError: Mask2Former without transformers.
        ValueError: unknown architecture, backbone, fusion, prefilter, mixer or option, or values out of range.

    >>> import torch
    >>> small = {"decoder_channels": 8, "box_channels": 16, "min_size": 64, "max_size": 96}
    >>> model = create_detector("faster_rcnn", "test_resnet", classes=3, **small).eval()
    >>> sorted(model([torch.rand(3, 70, 91)])[0])
    ['boxes', 'labels', 'scores']
    """
    if arch not in DETECTORS:
        raise ValueError(f"unknown detector {arch!r}; known: {', '.join(DETECTORS)}")
    settings = _options(arch, options)
    check_counts({"in_channels": in_channels, "classes": classes})
    stored = {
        "arch": arch,
        "encoder_name": encoder_name,
        "encoder_weights": encoder_weights,
        "in_channels": in_channels,
        "classes": classes,
        "fusion": describe_fusion(fusion),
        "prefilter": prefilter,
        "mixer": mixer,
        "fusion_options": fusion_options or {},
        "prefilter_options": prefilter_options or {},
        "mixer_options": mixer_options or {},
        "released": released,
        "encoder_options": encoder_options or {},
        "drop_path_rate": drop_path_rate,
        "activation_checkpointing": activation_checkpointing,
        **asdict(settings),
    }
    config = plain("config", stored)
    factory = fusion_factory(fusion, fusion_options or {}, mask2former_fusion if arch == MASK2FORMER else create_fusion)
    encoder = create_encoder(encoder_name, encoder_weights, in_channels, drop_path_rate, encoder_options)
    set_norm_epsilon(encoder, settings.norm_eps)
    if settings.norm == "frozen":
        freeze_batch_norms(encoder)
    insert_prefilters(encoder, prefilter, prefilter_options or {}, released)
    insert_mixers(encoder, mixer, mixer_options or {}, released)
    if settings.frozen_stages:
        freeze_stages(encoder, encoder.stages(), settings.frozen_stages)
    model = settings.build(encoder, classes, factory)
    model.config = config
    if activation_checkpointing:
        checkpoint_activations_(model)
    return model


def _options(arch: str, options: Mapping[str, Any]) -> DetectorOptions:
    known = [field.name for field in fields(DETECTORS[arch])]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise ValueError(f"{arch} has no option {', '.join(unknown)}; it accepts: {', '.join(known)}")
    return DETECTORS[arch](**options)
