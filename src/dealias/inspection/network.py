# SPDX-License-Identifier: Apache-2.0
"""The network to analyse: a timm model, the network of a checkpoint, or one that is built from its description."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from torch import nn

from dealias.backbones.timm_encoder import check_name
from dealias.data.transforms import IMAGENET_MEAN, IMAGENET_STD
from dealias.models import DetectionModel, create_model
from dealias.train.checkpoints import checkpoint_task, load_checkpoint, load_detector

_SEED = 0
"""Of random weights, so that an analysis can be repeated."""

_UNCHANGED = ((0.0,) * 3, (1.0,) * 3)


@dataclass(frozen=True)
class Subject:
    """A network in evaluation mode, and the images that it takes.

    Attributes:
        network: images [1, 3, H, W] to anything.
        name: what it is called.
        weights: where its weights come from.
        mean: of each image channel, subtracted, on the scale 0 to 1.
        std: of each image channel, divided by.
        size: height and width of the images, if it takes no others.
        classes: names of what its logits [1, classes, H, W] mean, if it was trained to predict these.
    """

    network: nn.Module
    name: str
    weights: Literal["random", "pretrained", "trained"]
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    size: tuple[int, int] | None = None
    classes: tuple[str, ...] | None = None


def open_timm(name: str, pretrained: bool = False) -> Subject:
    """A model of timm, without its classifier.

    Args:
        name: as in ``timm.list_models()``.
        pretrained: with the weights that timm knows for it, downloaded once; otherwise random ones.

    Raises:
        ValueError: there is no such model, or no such weights.
        OSError: the weights cannot be downloaded.
    """
    check_name(name, pretrained)
    try:
        with _seeded():
            network = timm.create_model(name, pretrained=pretrained, num_classes=0)
    except OSError as error:
        raise OSError(f"the weights of {name} cannot be loaded: {error}") from error
    weights: Literal["pretrained", "random"] = "pretrained" if pretrained else "random"
    known = timm.get_pretrained_cfg(name)
    if known is None:
        return Subject(network.eval(), name, weights)
    size = known.input_size[-2:] if known.fixed_input_size else None
    return Subject(network.eval(), name, weights, tuple(known.mean), tuple(known.std), size)


def open_checkpoint(path: Path) -> Subject:
    """The network of a checkpoint of a dealias run, with the normalisation and the classes of its data.

    Networks that find objects resize and normalise images themselves, and have no logits for every pixel.

    Raises:
        ValueError: the checkpoint cannot be used, see :func:`dealias.train.load_checkpoint`, or its network takes no
            RGB images.
        FileNotFoundError: there is no such file.
    """
    network: Any
    finds_objects = checkpoint_task(path) == "objects"
    network, meta = load_detector(path) if finds_objects else load_checkpoint(path)
    if network.encoder.in_channels != 3:
        raise ValueError(f"{path}: its network takes {network.encoder.in_channels} channels, RGB images have 3")
    if finds_objects:
        return Subject(network, describe(network.config), "trained", *_UNCHANGED)
    normalisation = (meta["mean"], meta["std"]) if meta["mean"] is not None else _UNCHANGED
    mean, std = (tuple(values) for values in normalisation)
    classes = tuple(meta["classes"]) if meta["classes"] is not None else None
    return Subject(network, describe(network.config), "trained", mean, std, classes=classes)


def open_model(description: str) -> Subject:
    """A network from its description, one that segments or finds objects.

    Args:
        description: ``ARCH/ENCODER``, such as ``fpn/resnet18``; or the arguments of :func:`dealias.models.create_model`
            as a JSON object, or the path of a ``.json`` file with them.

    Raises:
        ValueError: no such description, or as :func:`dealias.models.create_model`.
    """
    arguments = _arguments(description)
    try:
        with _seeded():
            network = create_model(**arguments)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError) as error:  # by unexpected values
        raise ValueError(f"{description}: {error}") from error
    weights: Literal["pretrained", "random"] = "random" if arguments.get("encoder_weights") is None else "pretrained"
    normalisation = _UNCHANGED if isinstance(network, DetectionModel) else (IMAGENET_MEAN, IMAGENET_STD)
    return Subject(network.eval(), describe(network.config), weights, *normalisation)


def describe(config: Mapping[str, Any]) -> str:
    """A name for a network: the arguments of ``create_model`` that tell it from others.

    >>> describe({"arch": "fpn", "encoder_name": "resnet18", "fusion": "carafe", "prefilter": "none"})
    'fpn with resnet18, carafe'
    """
    parts = [config.get(key) for key in ("fusion", "prefilter", "mixer", "modulation")]
    named = [part for part in parts if part not in (None, "none")]
    return ", ".join(["{arch} with {encoder_name}".format(**config), *named])


def _arguments(description: str) -> dict[str, Any]:
    text = description.strip()
    if text.endswith(".json"):
        text = Path(text).read_text(encoding="utf-8")
    if text.lstrip().startswith("{"):
        try:
            arguments: dict[str, Any] = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{description}: no JSON: {error}") from error
        return arguments
    arch, _, encoder = text.partition("/")
    if not encoder:
        raise ValueError(f"a model is ARCH/ENCODER, as fpn/resnet18, or a JSON object, got {description!r}")
    return {"arch": arch, "encoder_name": encoder}


@contextmanager
def _seeded() -> Iterator[None]:
    """Draw the same random weights every time, whatever was drawn before, and leave the generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(_SEED)
        yield
