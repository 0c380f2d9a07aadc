# SPDX-License-Identifier: Apache-2.0
"""Image classifiers: timm's networks with prefilters, mixers and modulations at their stages, ``create_classifier``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm
from timm.layers import SelectAdaptivePool2d
from torch import Tensor, nn

from dealias.backbones import STRIDES, Stage, find_stages, recording
from dealias.backbones.timm_encoder import check_name
from dealias.backbones.weights import load_weights
from dealias.ops.warp import Warp

from .area_pooling import area_weights
from .arguments import check_counts, plain
from .checkpointing import checkpoint_activations_
from .insertions import NONE, insert_mixers, insert_modulations, insert_prefilters
from .parts import parameter_parts
from .sharing import Shareable

MIN_SIZE = 32
"""Smallest height and width of an image: one pixel of the coarsest level."""


class ClassificationModel(Shareable, nn.Module):
    """Class scores of images.

    Behind modulations, features are weighted with the area that each stands for before the head averages them, see
    :mod:`dealias.models.area_pooling`: nothing needs to be demodulated.

    Args:
        body: a timm classifier.
        classes: number of classes.
        in_channels: channels of the images.
        config: the arguments of :func:`create_classifier` that made this network, in plain Python values.
    """

    def __init__(
        self, body: nn.Module, classes: int, in_channels: int = 3, config: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.body: Any = body
        self.classes = classes
        self.in_channels = in_channels
        self.config: dict[str, Any] = dict(config or {})

    def forward(self, images: Tensor) -> Tensor:
        """Score the classes of every image.

        Args:
            images: normalised images, [B, in_channels, H, W], H and W at least 32.

        Returns:
            Logits [B, classes].

        Raises:
            ValueError: wrong rank, number of channels or size.
        """
        self._check(images)
        with recording() as tape:
            features = self.body.forward_features(images)
        if tape:
            features = self._weighted(features, [resampling.warp for resampling in tape])
        return self.body.forward_head(features)

    def stages(self) -> list[Stage]:
        """The stages that lead to strides 8, 16 and 32, where prefilters and mixers can be put in.

        Raises:
            ValueError: they are not known for this network; lists the families for which they are.
        """
        strides = [level["reduction"] for level in self.body.feature_info]
        missing = [stride for stride in STRIDES if stride not in strides]
        if missing:
            raise ValueError(f"a classifier needs features at strides 4, 8, 16 and 32, this one has {strides}")
        levels = [max(i for i, found in enumerate(strides) if found == stride) for stride in STRIDES]
        return find_stages(self.body, levels)

    def parameter_parts(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by part, for learning rates of their own: every parameter is in exactly one part.

        Returns:
            ``fusion``, ``prefilter``, ``mixer`` and ``modulation`` (all within such modules, wherever they are),
            ``classifier`` (timm's last layer) and ``encoder``, the rest. One that the network lacks is an empty list.
        """
        return parameter_parts(self, {"classifier": [self.body.get_classifier()], "encoder": [self]})

    def _weighted(self, features: Tensor, warps: list[Warp]) -> Tensor:
        channels_last = getattr(self.body, "output_fmt", "NCHW") == "NHWC"  # timm leaves it out where it is NCHW
        size = features.shape[1:3] if channels_last else features.shape[2:]
        weights = area_weights(warps, (size[0], size[1])).to(features.dtype)
        return features * (weights.permute(0, 2, 3, 1) if channels_last else weights)

    def _check(self, images: Tensor) -> None:
        expected = f"[B, {self.in_channels}, H, W] with H and W at least {MIN_SIZE}"
        if images.ndim != 4 or images.shape[1] != self.in_channels or min(images.shape[-2:]) < MIN_SIZE:
            raise ValueError(f"images must be {expected}, got shape {tuple(images.shape)}")


def create_classifier(
    encoder_name: str = "resnet50",
    classes: int = 1000,
    encoder_weights: str | None = None,
    in_channels: int = 3,
    prefilter: str | None = None,
    mixer: str | None = None,
    modulation: str | None = None,
    *,
    prefilter_options: Mapping[str, Any] | None = None,
    mixer_options: Mapping[str, Any] | None = None,
    modulation_options: Mapping[str, Any] | None = None,
    released: bool = False,
    encoder_options: Mapping[str, Any] | None = None,
    activation_checkpointing: bool = False,
) -> ClassificationModel:
    """Build a timm classifier with modules put in at the places where :func:`~dealias.models.create_model` has them.

    Keys and weights of the classifier are timm's, below ``body``. One seed gives networks that differ in prefilter,
    mixer or modulation alone the same other weights.

    Args:
        encoder_name: a timm model name, with or without a weight tag.
        classes: number of classes.
        encoder_weights: None (random), ``"imagenet"`` (those timm knows for this name, downloaded once; the last layer
            is random unless it has as many classes) or the path of a local file with timm's keys and as many classes.
        in_channels: channels of the images.
        prefilter: a name from :func:`dealias.filters.list_prefilters`, or None: the filter at the inputs of the stages
            that lead to strides 8, 16 and 32.
        mixer: a name from :func:`dealias.mixing.list_mixers`, ``"none"`` or None: in every block of these stages.
        modulation: a name from :func:`dealias.modulation.list_modulations`, ``"none"`` or None: at the inputs of these
            stages, before the prefilter (arXiv 2507.11893). The head must pool by averages.
        prefilter_options: options of the prefilter.
        mixer_options: options of the mixer.
        modulation_options: options of the modulation.
        released: compute prefilter and mixer as the published code does.
        encoder_options: further arguments of the timm model, such as ``{"drop_path_rate": 0.1}``.
        activation_checkpointing: see :func:`~dealias.models.checkpoint_activations_`.

    Raises:
        ValueError: unknown network, prefilter, mixer, modulation or option, weights that do not fit, or a network
            without a place for what is put in.

    >>> import torch
    >>> model = create_classifier("test_resnet", classes=5, prefilter="daf").eval()
    >>> model(torch.zeros(2, 3, 33, 47)).shape
    torch.Size([2, 5])
    """
    check_counts({"classes": classes, "in_channels": in_channels})
    stored = {
        "encoder_name": encoder_name,
        "classes": classes,
        "encoder_weights": encoder_weights,
        "in_channels": in_channels,
        "prefilter": prefilter,
        "mixer": mixer,
        "modulation": modulation,
        "prefilter_options": prefilter_options or {},
        "mixer_options": mixer_options or {},
        "modulation_options": modulation_options or {},
        "released": released,
        "encoder_options": encoder_options or {},
        "activation_checkpointing": activation_checkpointing,
    }
    arguments = {"num_classes": classes, "in_chans": in_channels, **(encoder_options or {})}
    body = _build(encoder_name, encoder_weights, arguments)
    model = ClassificationModel(body, classes, in_channels, plain("config", stored))
    insert_prefilters(model, prefilter, prefilter_options or {}, released)
    insert_mixers(model, mixer, mixer_options or {}, released)
    insert_modulations(model, modulation, modulation_options or {})
    if modulation not in (None, NONE):
        _check_pooling(body)
    if activation_checkpointing:
        checkpoint_activations_(model)
    return model


def rebuild_classifier(config: Mapping[str, Any]) -> ClassificationModel:
    """Build the network of a :attr:`ClassificationModel.config`, with random weights: load its own afterwards.

    >>> model = create_classifier("test_resnet", classes=5)
    >>> rebuild_classifier(model.config).config == model.config
    True
    """
    model = create_classifier(**{**config, "encoder_weights": None})
    model.config = dict(config)
    return model


def _check_pooling(body: nn.Module) -> None:
    kinds = {module.pool_type for module in body.modules() if isinstance(module, SelectAdaptivePool2d)}
    if kinds - {"avg"}:
        raise ValueError(f"a modulation needs a head that pools by 'avg', this one has {', '.join(sorted(kinds))!r}")


def _build(name: str, weights: str | None, arguments: Mapping[str, Any]) -> nn.Module:
    check_name(name, pretrained=weights == "imagenet")
    try:
        body = timm.create_model(name, pretrained=weights == "imagenet", **arguments)
    except TypeError as error:  # how timm's models report an argument that they do not have
        raise ValueError(f"timm's {name!r} does not take {dict(arguments)}: {error}") from error
    if weights is not None and weights != "imagenet":
        load_weights(body, weights, name, arguments)
    return body
