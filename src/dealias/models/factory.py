# SPDX-License-Identifier: Apache-2.0
"""Networks by name: ``create_model`` from plain arguments, ``rebuild`` from the arguments stored with a network."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from dealias.backbones import STRIDES, create_encoder
from dealias.fusion import FusionFactory, create_fusion, list_fusions

from .architectures import ARCHITECTURES, ONE_LEVEL
from .arguments import check_counts, describe_fusion, fusion_factory, plain
from .checkpointing import checkpoint_activations_
from .demodulation import modulate
from .detectors import DETECTORS, create_detector
from .insertions import NONE, insert_mixers, insert_prefilters
from .segmentation import SegmentationModel
from .segnext import segnext_fusion

TASKS: dict[str, Mapping[str, object]] = {"segmentation": ARCHITECTURES, "detection": DETECTORS}
"""The architectures of each task by name."""


def list_models(task: str | None = None) -> list[str]:
    """The architectures that :func:`create_model` knows.

    Args:
        task: one of :data:`TASKS`; None: all.

    Raises:
        ValueError: unknown task.

    >>> list_models("detection")
    ['faster_rcnn', 'mask_rcnn', 'panoptic_fpn', 'mask2former']
    """
    if task is not None and task not in TASKS:
        raise ValueError(f"unknown task {task!r}; known: {', '.join(TASKS)}")
    return [name for key, names in TASKS.items() if task in (None, key) for name in names]


def create_model(
    arch: str,
    encoder_name: str = "resnet50",
    encoder_weights: str | None = None,
    in_channels: int = 3,
    classes: int = 19,
    fusion: str | FusionFactory = "bilinear",
    prefilter: str | None = None,
    mixer: str | None = None,
    modulation: str | None = None,
    *,
    fusion_options: Mapping[str, Any] | None = None,
    prefilter_options: Mapping[str, Any] | None = None,
    mixer_options: Mapping[str, Any] | None = None,
    modulation_options: Mapping[str, Any] | None = None,
    released: bool = False,
    encoder_options: Mapping[str, Any] | None = None,
    drop_path_rate: float = 0.0,
    output_stride: int = 32,
    activation_checkpointing: bool = False,
    **options: Any,
) -> SegmentationModel:
    """Build a segmentation network, or a detector.

    A network of objects, one of ``list_models("detection")``, is no :class:`SegmentationModel` but a
    :class:`~dealias.models.DetectionModel`; its options are those of :func:`~dealias.models.create_detector`, whose
    annotations have that type. The architectures and options below are those of segmentation networks.

    One seed gives networks that differ in fusion, prefilter, mixer or modulation alone the same other weights: the
    fusions are made last, the others from random numbers of their own.

    Args:
        arch: ``"upernet"`` (arXiv 1807.10221), ``"fpn"`` (semantic FPN, prediction from its finest level), ``"unet"``
            (U-Net's decoder, down to stride 4), ``"segformer"`` (SegFormer's all-MLP head, arXiv 2105.15203),
            ``"segnext"`` (Hamburger head at stride 8, arXiv 2209.08575), ``"direct"`` (the coarsest level upsampled to
            stride 4 in one step: fusions for any ratio, or with an option ``scale`` of 8), ``"fcn"`` (two convolutions
            on the coarsest level, arXiv 1411.4038) or ``"pspnet"`` (pyramid pooling on it, arXiv 1612.01105).
        encoder_name: a name from :data:`dealias.backbones.MSCANS` or :data:`dealias.backbones.INTERNIMAGES`, or any
            timm backbone with features at strides 4, 8, 16 and 32; or ``transformers_`` and a model type of
            transformers, such as ``transformers_swin``, without prefilters, mixers and modulations.
        encoder_weights: None, ``"imagenet"`` (timm backbones) or the path of a local file; see
            :func:`~dealias.backbones.create_encoder`.
        in_channels: channels of the images.
        classes: number of classes.
        fusion: a name from :func:`dealias.fusion.list_fusions`, or a factory ``(hr_channels, lr_channels) -> Fusion``.
            fcn and pspnet fuse nothing: they take ``"bilinear"``, which is how their scores are resized.
        prefilter: a name from :func:`dealias.filters.list_prefilters`, or None: the filter at the inputs of the stages
            that lead to strides 8, 16 and 32 (arXiv 2403.09065); the stem and its pool stay as they are.
        mixer: a name from :func:`dealias.mixing.list_mixers`, ``"none"`` or None: after the spatial convolution, before
            its norm, of every block of the same stages.
        modulation: ``"ars"``, ``"none"`` or None: adaptive resampling at the inputs of the same stages, before their
            prefilters (arXiv 2507.11893). fcn and pspnet then work on the warped grid and MSAU brings their scores to
            the finest level's; other decoders get every level demodulated. At first all this is the identity.
        fusion_options: options of the fusion of that name, such as ``{"compressed_channels": 64}``. In segnext those of
            FreqFusion have other defaults, see :func:`~dealias.models.segnext.segnext_fusion`.
        prefilter_options: options of the prefilter. Without ``cutoff`` that of ``"daf"`` follows from the stage.
        mixer_options: options of the mixer.
        modulation_options: options of the modulation, see :class:`~dealias.modulation.ARS`, and as ``"msau"`` a mapping
            of those of :class:`~dealias.modulation.MSAU`, which other decoders than fcn's and pspnet's have only if it
            is given.
        released: compute prefilter and mixer as the published code does, for published weights: ``"daf"`` with cutoff
            0.35 and the published mask, ``"adaptive_blur"`` and ``"freqmix"`` in their released forms. Options that are
            given go before.
        encoder_options: further arguments of the backbone.
        drop_path_rate: stochastic depth of the encoder, in [0, 1).
        output_stride: stride of the coarsest level: 32; or, in fcn and pspnet, 16 or 8, by dilation, see
            :class:`~dealias.backbones.TimmEncoder`.
        activation_checkpointing: keep less for the backward pass and compute it once more, see
            :func:`~dealias.models.checkpoint_activations_`.
        options: of the architecture. All: ``decoder_channels`` (upernet, fcn and pspnet 512, unet 64 at the finest
            level and twice as many per coarser one, others 256), ``dropout`` (0.1). upernet, fcn and pspnet:
            ``auxiliary`` (an FCN head on the third level, for :meth:`SegmentationModel.forward_train`; off) and
            ``auxiliary_channels`` (256). segnext: ``decomposition_options``, those of :class:`~dealias.heads.NMF`, such
            as ``{"rank": 32}``.

    Raises:
        ValueError: unknown architecture, backbone, fusion, prefilter, mixer, modulation or option, or a backbone
            without a place for them; the message lists the known ones. Or a fusion or an output stride that the
            architecture cannot have.

    >>> import torch
    >>> model = create_model("fpn", "test_resnet", classes=5, decoder_channels=16).eval()
    >>> model(torch.zeros(1, 3, 33, 47)).shape
    torch.Size([1, 5, 33, 47])
    """
    if arch in DETECTORS:
        _check_detector(arch, modulation, modulation_options or {}, output_stride)
        detector: Any = create_detector(  # its type is another one, as said above
            arch,
            encoder_name,
            encoder_weights,
            in_channels,
            classes,
            fusion,
            prefilter,
            mixer,
            fusion_options=fusion_options,
            prefilter_options=prefilter_options,
            mixer_options=mixer_options,
            released=released,
            encoder_options=encoder_options,
            drop_path_rate=drop_path_rate,
            activation_checkpointing=activation_checkpointing,
            **options,
        )
        return detector
    if arch not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {arch!r}; known: {', '.join(list_models())}")
    options = _with_defaults(arch, options)
    check_counts({"in_channels": in_channels, "classes": classes, **options})
    stored = {
        "arch": arch,
        "encoder_name": encoder_name,
        "encoder_weights": encoder_weights,
        "in_channels": in_channels,
        "classes": classes,
        "fusion": describe_fusion(fusion),
        "prefilter": prefilter,
        "mixer": mixer,
        "modulation": modulation,
        "fusion_options": fusion_options or {},
        "prefilter_options": prefilter_options or {},
        "mixer_options": mixer_options or {},
        "modulation_options": modulation_options or {},
        "released": released,
        "encoder_options": encoder_options or {},
        "drop_path_rate": drop_path_rate,
        "output_stride": output_stride,
        "activation_checkpointing": activation_checkpointing,
        **options,
    }
    config = plain("config", stored)
    factory = _fusion_factory(arch, fusion, fusion_options or {})
    _check_output_stride(arch, output_stride)
    encoder = create_encoder(encoder_name, encoder_weights, in_channels, drop_path_rate, encoder_options, output_stride)
    insert_prefilters(encoder, prefilter, prefilter_options or {}, released)
    insert_mixers(encoder, mixer, mixer_options or {}, released)
    width, one_level = options["decoder_channels"], arch in ONE_LEVEL
    demodulation, msau = modulate(encoder, modulation, modulation_options or {}, width, one_level)
    decoder, auxiliary = ARCHITECTURES[arch](encoder.channels, classes, factory, **options)
    model = SegmentationModel(encoder, decoder, classes, auxiliary, config, demodulation, msau)
    if activation_checkpointing:
        checkpoint_activations_(model)
    return model


def rebuild(config: Mapping[str, Any], fusion: FusionFactory | None = None) -> SegmentationModel:
    """Build the network of a :attr:`SegmentationModel.config`, with random weights: load its own afterwards.

    Args:
        config: the stored configuration.
        fusion: the factory, for a network that was built with a factory instead of a fusion's name.

    Raises:
        ValueError: the configuration needs a factory and none is given, or one is given and not needed; or as in
            :func:`create_model`.

    >>> model = create_model("fpn", "test_resnet", classes=5, decoder_channels=16)
    >>> rebuild(model.config).config == model.config
    True
    """
    named = config["fusion"] in list_fusions()
    if named and fusion is not None:
        raise ValueError(f"the network was built with the fusion {config['fusion']!r}; it takes no factory")
    if not named and fusion is None:
        raise ValueError(
            f"the network was built with the fusion {config['fusion']!r}, none of {', '.join(list_fusions())}; "
            "pass the factory that made it as rebuild(config, fusion=...)"
        )
    arguments = {**config, "encoder_weights": None, "fusion": config["fusion"] if fusion is None else fusion}
    model = create_model(**arguments)
    model.config = dict(config)
    return model


def _fusion_factory(arch: str, fusion: str | FusionFactory, options: Mapping[str, Any]) -> FusionFactory:
    if arch in ONE_LEVEL and (fusion != "bilinear" or options):
        found = describe_fusion(fusion)
        raise ValueError(
            f"{arch} has one level and fuses nothing: its fusion must be 'bilinear', without options, got {found!r}"
            + (f" with {dict(options)}" if options else "")
        )
    return fusion_factory(fusion, options, segnext_fusion if arch == "segnext" else create_fusion)


def _check_output_stride(arch: str, output_stride: int) -> None:
    if arch not in ONE_LEVEL and output_stride != STRIDES[-1]:
        raise ValueError(
            f"{arch} needs levels at strides {', '.join(map(str, STRIDES))}, so an output_stride of {STRIDES[-1]}, "
            f"got {output_stride}; others are for {', '.join(ONE_LEVEL)}"
        )


def _check_detector(arch: str, modulation: str | None, options: Mapping[str, Any], output_stride: int) -> None:
    """Refuse what a detector does not have."""
    if modulation not in (None, NONE) or options:
        raise ValueError(f"{arch} has no modulation, got {modulation!r} with options {dict(options)}")
    if output_stride != STRIDES[-1]:
        raise ValueError(f"{arch} needs an output_stride of {STRIDES[-1]}, got {output_stride}")


def _with_defaults(arch: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of the architecture, so that a stored configuration outlives a change of the defaults."""
    own = _keyword_defaults(ARCHITECTURES[arch])
    unknown = [name for name in options if name not in own]
    if unknown:
        accepted = [*own, *_keyword_defaults(create_model)]
        raise ValueError(f"{arch} has no option {', '.join(unknown)}; it accepts: {', '.join(accepted)}")
    return own | dict(options)


def _keyword_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
