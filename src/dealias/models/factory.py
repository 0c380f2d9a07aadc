# SPDX-License-Identifier: Apache-2.0
"""Networks by name: ``create_model`` from plain arguments, ``rebuild`` from the arguments stored with a network."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from dealias.backbones import create_encoder
from dealias.fusion import FusionFactory, create_fusion, list_fusions

from .architectures import ARCHITECTURES
from .insertions import insert_mixers, insert_prefilters
from .segmentation import SegmentationModel
from .segnext import segnext_fusion


def list_models() -> list[str]:
    """The architectures that :func:`create_model` knows.

    >>> "unet" in list_models()
    True
    """
    return list(ARCHITECTURES)


def create_model(
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
    **options: Any,
) -> SegmentationModel:
    """Build a segmentation network.

    One seed gives networks that differ in fusion, prefilter or mixer alone the same other weights: the fusions are made
    last, prefilters and mixers from random numbers of their own.

    Args:
        arch: ``"upernet"`` (arXiv 1807.10221), ``"fpn"`` (semantic FPN, prediction from its finest level), ``"unet"``
            (U-Net's decoder, down to stride 4), ``"segformer"`` (SegFormer's all-MLP head, arXiv 2105.15203),
            ``"segnext"`` (Hamburger head at stride 8, arXiv 2209.08575) or ``"direct"`` (the coarsest level upsampled
            to stride 4 in one step: fusions for any ratio, or with an option ``scale`` of 8).
        encoder_name: a name from :data:`dealias.backbones.MSCANS`, or any timm backbone with features at strides 4, 8,
            16 and 32.
        encoder_weights: None, ``"imagenet"`` (timm backbones) or the path of a local file; see
            :func:`~dealias.backbones.create_encoder`.
        in_channels: channels of the images.
        classes: number of classes.
        fusion: a name from :func:`dealias.fusion.list_fusions`, or a factory ``(hr_channels, lr_channels) -> Fusion``.
        prefilter: a name from :func:`dealias.filters.list_prefilters`, or None: the filter at the inputs of the stages
            that lead to strides 8, 16 and 32 (arXiv 2403.09065); the stem and its pool stay as they are.
        mixer: a name from :func:`dealias.mixing.list_mixers`, ``"none"`` or None: after the spatial convolution, before
            its norm, of every block of the same stages.
        fusion_options: options of the fusion of that name, such as ``{"compressed_channels": 64}``. In segnext those of
            FreqFusion have other defaults, see :func:`~dealias.models.segnext.segnext_fusion`.
        prefilter_options: options of the prefilter. Without ``cutoff`` that of ``"daf"`` follows from the stage.
        mixer_options: options of the mixer.
        released: compute prefilter and mixer as the published code does, for published weights: ``"daf"`` with cutoff
            0.35 and the published mask, ``"adaptive_blur"`` and ``"freqmix"`` in their released forms. Options that are
            given go before.
        encoder_options: further arguments of the backbone.
        drop_path_rate: stochastic depth of the encoder, in [0, 1).
        options: of the architecture. All: ``decoder_channels`` (upernet 512, unet 64 at the finest level and twice as
            many per coarser one, others 256), ``dropout`` (0.1). upernet: ``auxiliary`` (an FCN head on the third
            level, for :meth:`SegmentationModel.forward_train`; off) and ``auxiliary_channels`` (256).
            segnext: ``decomposition_options``, those of :class:`~dealias.heads.NMF`, such as ``{"rank": 32}``.

    Raises:
        ValueError: unknown architecture, backbone, fusion, prefilter, mixer or option, or a backbone without a place
            for them; the message lists the known ones.

    >>> import torch
    >>> model = create_model("fpn", "test_resnet", classes=5, decoder_channels=16).eval()
    >>> model(torch.zeros(1, 3, 33, 47)).shape
    torch.Size([1, 5, 33, 47])
    """
    if arch not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {arch!r}; known: {', '.join(ARCHITECTURES)}")
    options = _with_defaults(arch, options)
    counts = {"in_channels": in_channels, "classes": classes} | {k: v for k, v in options.items() if "channels" in k}
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
    stored = {
        "arch": arch,
        "encoder_name": encoder_name,
        "encoder_weights": encoder_weights,
        "in_channels": in_channels,
        "classes": classes,
        "fusion": fusion if isinstance(fusion, str) else _describe(fusion),
        "prefilter": prefilter,
        "mixer": mixer,
        "fusion_options": fusion_options or {},
        "prefilter_options": prefilter_options or {},
        "mixer_options": mixer_options or {},
        "released": released,
        "encoder_options": encoder_options or {},
        "drop_path_rate": drop_path_rate,
        **options,
    }
    config = _plain("config", stored)
    factory = _fusion_factory(arch, fusion, fusion_options or {})
    encoder = create_encoder(encoder_name, encoder_weights, in_channels, drop_path_rate, encoder_options)
    insert_prefilters(encoder, prefilter, prefilter_options or {}, released)
    insert_mixers(encoder, mixer, mixer_options or {}, released)
    decoder, auxiliary = ARCHITECTURES[arch](encoder.channels, classes, factory, **options)
    return SegmentationModel(encoder, decoder, classes, auxiliary, config)


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
    if isinstance(fusion, str):
        if fusion not in list_fusions():
            raise ValueError(f"unknown fusion {fusion!r}; known: {', '.join(list_fusions())}")
        return partial(segnext_fusion if arch == "segnext" else create_fusion, fusion, **options)
    if options:
        raise ValueError(f"fusion_options {dict(options)} need a fusion's name; give them to the factory itself")
    return fusion


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


def _describe(factory: FusionFactory) -> str:
    """The qualified name of what makes the fusions; of a partial, the name of what it completes."""
    function = factory.func if isinstance(factory, partial) else factory
    return f"{function.__module__}.{function.__qualname__}"


def _plain(name: str, value: Any) -> Any:
    """``value`` in types that YAML and JSON keep, so that the configuration can be stored."""
    if isinstance(value, Mapping):
        return {str(key): _plain(f"{name}.{key}", item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(name, item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"{name} must be a plain value that can be stored with the network, got {value!r}")
