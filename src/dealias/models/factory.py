# SPDX-License-Identifier: Apache-2.0
"""Networks by name: ``create_model`` from plain arguments, ``rebuild`` from the arguments stored with a network."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from dealias.backbones import TimmEncoder
from dealias.fusion import FusionFactory, create_fusion, list_fusions
from dealias.heads import FCNHead, FPNHead, UPerHead

from .segmentation import SegmentationModel

Heads = tuple[nn.Module, nn.Module | None]


def _upernet(
    channels: tuple[int, ...],
    classes: int,
    fusion: FusionFactory,
    *,
    decoder_channels: int = 512,
    dropout: float = 0.1,
    auxiliary: bool = False,
    auxiliary_channels: int = 256,
) -> Heads:
    """UPerNet: pyramid pooling, a top-down path, and all levels merged at stride 4 (arXiv:1807.10221)."""
    # the decoder last, because the fusions inside it come last of all
    second = FCNHead(channels, classes, auxiliary_channels, dropout=dropout) if auxiliary else None
    return UPerHead(channels, classes, fusion, decoder_channels, dropout), second


def _fpn(
    channels: tuple[int, ...],
    classes: int,
    fusion: FusionFactory,
    *,
    decoder_channels: int = 256,
    dropout: float = 0.1,
) -> Heads:
    """Feature pyramid: a top-down path, and prediction from its finest level, stride 4 (arXiv:1612.03144)."""
    return FPNHead(channels, classes, fusion, decoder_channels, dropout), None


ARCHITECTURES: dict[str, Callable[..., Heads]] = {"upernet": _upernet, "fpn": _fpn}
"""Every architecture by name: ``(channels, classes, fusion, **options) -> (decoder, auxiliary head or None)``."""


def list_models() -> list[str]:
    """The architectures that :func:`create_model` knows.

    >>> list_models()
    ['upernet', 'fpn']
    """
    return list(ARCHITECTURES)


def create_model(
    arch: str,
    encoder_name: str = "resnet50",
    encoder_weights: str | None = None,
    in_channels: int = 3,
    classes: int = 19,
    fusion: str | FusionFactory = "bilinear",
    *,
    fusion_options: Mapping[str, Any] | None = None,
    encoder_options: Mapping[str, Any] | None = None,
    drop_path_rate: float = 0.0,
    **options: Any,
) -> SegmentationModel:
    """Build a segmentation network.

    The fusions are made last, so that one seed gives networks that differ in the fusion alone the same other weights.

    Args:
        arch: ``"upernet"`` (arXiv 1807.10221) or ``"fpn"`` (semantic FPN, prediction from its finest level).
        encoder_name: any timm backbone with features at strides 4, 8, 16 and 32.
        encoder_weights: None, ``"imagenet"`` or the path of a local file; see :class:`~dealias.backbones.TimmEncoder`.
        in_channels: channels of the images.
        classes: number of classes.
        fusion: a name from :func:`dealias.fusion.list_fusions`, or a factory ``(hr_channels, lr_channels) -> Fusion``.
        fusion_options: options of the fusion of that name, such as ``{"compressed_channels": 64}``.
        encoder_options: further arguments of the timm model.
        drop_path_rate: stochastic depth of the encoder, in [0, 1).
        options: of the architecture. Both: ``decoder_channels`` (upernet 512, fpn 256), ``dropout`` (0.1). upernet:
            ``auxiliary`` (an FCN head on the third level, for :meth:`SegmentationModel.forward_train`; off) and
            ``auxiliary_channels`` (256).

    Raises:
        ValueError: unknown architecture, backbone, fusion or option; the message lists the known ones.

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
        "fusion_options": fusion_options or {},
        "encoder_options": encoder_options or {},
        "drop_path_rate": drop_path_rate,
        **options,
    }
    config = _plain("config", stored)
    factory = _fusion_factory(fusion, fusion_options or {})
    encoder = TimmEncoder(encoder_name, encoder_weights, in_channels, drop_path_rate, encoder_options)
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


def _fusion_factory(fusion: str | FusionFactory, options: Mapping[str, Any]) -> FusionFactory:
    if isinstance(fusion, str):
        if fusion not in list_fusions():
            raise ValueError(f"unknown fusion {fusion!r}; known: {', '.join(list_fusions())}")
        return partial(create_fusion, fusion, **options)
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
