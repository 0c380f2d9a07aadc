# SPDX-License-Identifier: Apache-2.0
"""Local weight files for timm feature networks: every key and shape accounted for, no code run from the file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import adapt_input_conv, load_state_dict
from torch import Tensor, nn

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
    _adapt_first_conv(fitting, own, timm.get_pretrained_cfg(name))
    problems += [
        f"{key} is {tuple(value.shape)} instead of {tuple(own[key].shape)}"
        for key, value in fitting.items()
        if value.shape != own[key].shape
    ]
    # torch itself fills in the batch counters, which older files do not have
    problems += [f"missing {key}" for key in own if key not in fitting and not key.endswith("num_batches_tracked")]
    if problems:
        shown = "; ".join(problems[:10]) + (f"; and {len(problems) - 10} more" if len(problems) > 10 else "")
        raise ValueError(f"{path} does not fit timm's {name!r}: {shown}")
    body.load_state_dict(fitting, strict=False)


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix not in _SUFFIXES or not path.is_file():
        raise ValueError(f"weights must be None, 'imagenet' or an existing file ({', '.join(_SUFFIXES)}), got '{path}'")
    try:
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


def _adapt_first_conv(weights: dict[str, Tensor], own: Mapping[str, Tensor], pretrained: Any) -> None:
    """Fit the first convolution to the number of image channels, in place."""
    layers = None if pretrained is None else pretrained.first_conv
    for layer in (layers,) if isinstance(layers, str) else layers or ():
        key = _feature_key(f"{layer}.weight", own)
        if key in weights and weights[key].ndim == 4 and weights[key].shape[1] != own[key].shape[1]:
            weights[key] = adapt_input_conv(own[key].shape[1], weights[key]).to(weights[key].dtype)
