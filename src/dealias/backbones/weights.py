# SPDX-License-Identifier: Apache-2.0
"""Local weight files for backbones: every key and shape accounted for, no code run from the file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import adapt_input_conv, load_state_dict
from torch import Tensor, nn

from dealias._archives import check_archive

_SUFFIXES = (".safetensors", ".pth", ".pt")


def load_weights(body: nn.Module, path: str | Path, name: str, arguments: Mapping[str, Any]) -> None:
    """Load the weights of a timm classifier from a file into the feature network made from it.

    Keys are those of ``timm.create_model(name).state_dict()``, bare or under ``state_dict`` or ``model``. What the
    feature network does not have, the classifier foremost, is left out. A first convolution for another number of image
    channels is adapted as timm does: summed for one channel, repeated and rescaled otherwise.

    Args:
        body: the result of ``timm.create_model(name, features_only=True, **arguments)``.
        path: a ``.safetensors``, ``.pth`` or ``.pt`` file.
        name: the timm model name.
        arguments: further arguments of ``timm.create_model``.

    Raises:
        ValueError: no such file, not a weight file, or keys and shapes that do not fit; names the file and lists them.
    """
    with torch.device("meta"):  # shapes only: tells the classifier's keys from foreign ones
        classifier = timm.create_model(name, **arguments).state_dict()
    own = body.state_dict()
    fitting: dict[str, Tensor] = {}
    problems: list[str] = []
    for key, value in _read(Path(path)).items():
        target = _feature_key(key, own)
        if target is not None:
            fitting[target] = value
        elif key not in classifier:
            problems.append(f"unknown {key}")
    pretrained = timm.get_pretrained_cfg(name)
    layers = None if pretrained is None else pretrained.first_conv
    for layer in (layers,) if isinstance(layers, str) else layers or ():
        if first := _feature_key(f"{layer}.weight", own):
            _adapt_first_conv(fitting, own, first)
    _load(body, fitting, problems, f"{path} does not fit timm's {name!r}")


def load_own_weights(network: nn.Module, path: str | Path, name: str, first_conv: str) -> None:
    """Load a file with the keys of ``network.state_dict()``, bare or under ``state_dict`` or ``model``.

    Args:
        network: takes the weights.
        path: a ``.safetensors``, ``.pth`` or ``.pt`` file.
        name: the network's name, for messages.
        first_conv: path of the convolution that is adapted to another number of image channels, as timm does it.

    Raises:
        ValueError: as in :func:`load_weights`.
    """
    own, weights = network.state_dict(), _read(Path(path))
    problems = [f"unknown {key}" for key in weights if key not in own]
    fitting = {key: value for key, value in weights.items() if key in own}
    _adapt_first_conv(fitting, own, f"{first_conv}.weight")
    _load(network, fitting, problems, f"{path} does not fit {name!r}")


def _load(network: nn.Module, weights: Mapping[str, Tensor], problems: list[str], complaint: str) -> None:
    """Load weights with the network's own keys, unless there are problems or some are missing or misshapen."""
    own = network.state_dict()
    problems = problems + [
        f"{key} is {tuple(value.shape)} instead of {tuple(own[key].shape)}"
        for key, value in weights.items()
        if value.shape != own[key].shape
    ]
    # torch itself fills in the batch counters, which older files do not have
    problems += [f"missing {key}" for key in own if key not in weights and not key.endswith("num_batches_tracked")]
    if problems:
        shown = "; ".join(problems[:10]) + (f"; and {len(problems) - 10} more" if len(problems) > 10 else "")
        raise ValueError(f"{complaint}: {shown}")
    try:
        network.load_state_dict(weights, strict=False)
    except RuntimeError as error:  # tensors without values, or of a layout that cannot be copied
        raise ValueError(f"{complaint}: {error}") from error


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix not in _SUFFIXES or not path.is_file():
        raise ValueError(f"weights must be None, 'imagenet' or an existing file ({', '.join(_SUFFIXES)}), got '{path}'")
    try:
        check_archive(path)
        state = load_state_dict(str(path), weights_only=True)
    except Exception as error:  # a damaged file can raise nearly anything: the readers do not share an exception class
        raise ValueError(f"{path} cannot be read as weights: {error}") from error
    strangers = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if strangers:
        raise ValueError(f"{path} holds more than tensors: {', '.join(map(str, strangers[:5]))}")
    return state


def _feature_key(key: str, own: Collection[str]) -> str | None:
    """The key in the feature network: timm flattens the first level (``stages.0``: ``stages_0``) or wraps the model."""
    candidates = (key, key.replace(".", "_", 1), f"model.{key}", f"body.{key}")
    return next((candidate for candidate in candidates if candidate in own), None)


def _adapt_first_conv(weights: dict[str, Tensor], own: Mapping[str, Tensor], key: str) -> None:
    """Fit the first convolution to the number of image channels, in place."""
    if key in weights and weights[key].ndim == 4 and weights[key].shape[1] != own[key].shape[1]:
        with suppress(AssertionError, NotImplementedError):  # of other numbers than 1 and 3: reported as misshapen
            weights[key] = adapt_input_conv(own[key].shape[1], weights[key]).to(weights[key].dtype)
