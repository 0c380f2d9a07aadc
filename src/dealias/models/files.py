# SPDX-License-Identifier: Apache-2.0
"""A network in one safetensors file: its weights, and the arguments that built it. Reading one runs no code from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import dealias
from dealias._files import replacing
from dealias.fusion import list_fusions

from .classification import ClassificationModel, rebuild_classifier
from .detection import DetectionModel
from .factory import rebuild
from .rebuilding import build_with_weights
from .segmentation import SegmentationModel

SUFFIX = ".safetensors"
"""What the names of all these files end in."""

TASKS: dict[str, type[nn.Module]] = {
    "segmentation": SegmentationModel,
    "classification": ClassificationModel,
    "objects": DetectionModel,
}
"""What whole networks are for, and their classes."""

_KEY = "dealias"


class Header(NamedTuple):
    """What a file says of its network, beside the weights."""

    version: str
    """Of dealias, which wrote the file."""

    task: str
    """One of :data:`TASKS`, or the kind of a part, one of :data:`dealias.models.PARTS`."""

    network: dict[str, Any]
    """The arguments of the function that builds it."""

    metadata: dict[str, str]
    """What else was given to be kept."""


def write_model_file(model: nn.Module, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a network to a file from which :func:`read_model_file` makes it again.

    The file has the tensors of ``model.state_dict()`` by their keys and, in its metadata under ``dealias``, JSON with
    the version of dealias, the task and the network's ``config``. It appears whole or not at all.

    Args:
        model: a network that :func:`~dealias.models.create_model` or :func:`~dealias.models.create_classifier` made.
        path: the file, replaced if there is one; it ends in ``.safetensors``.
        metadata: further text by name, to be kept in the file.

    Raises:
        ValueError: another ending, another network, one with fusions from a factory, or metadata that is not text.
    """
    task = next((name for name, kind in TASKS.items() if isinstance(model, kind)), None)
    config: Any = getattr(model, "config", None)
    if task is None or not config:
        raise ValueError(
            f"a model file needs a network of create_model or create_classifier, with its arguments, got "
            f"{type(model).__name__}"
        )
    if task != "classification" and config["fusion"] not in list_fusions():
        raise ValueError(f"a network with fusions of the factory {config['fusion']} cannot be made again from a file")
    write_described(model, path, task, config, metadata)


def read_model_file(path: str | Path) -> tuple[nn.Module, dict[str, str]]:
    """Make the network of a file that :func:`write_model_file` wrote.

    Args:
        path: the file.

    Returns:
        The network in evaluation mode, on the CPU, in float32; and the ``metadata`` that were given to be kept.

    Raises:
        ValueError: the file is damaged, none of dealias, or its weights do not fit the network that it describes; the
            message names it.
        FileNotFoundError: there is no such file.
    """
    header = read_header(path)
    if header.task not in TASKS:
        raise ValueError(f"{path}: it holds no whole network but a part, a {header.task}")
    build: Callable[..., nn.Module] = rebuild_classifier if header.task == "classification" else rebuild
    model = build_with_weights(lambda: build(header.network), read_tensors(path), path)
    if not isinstance(model, TASKS[header.task]):
        raise ValueError(f"{path}: its network is not for {header.task}, it is a {type(model).__name__}")
    return model, header.metadata


def write_described(
    module: nn.Module,
    path: str | Path,
    task: str,
    arguments: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write the tensors of a module with the arguments that make it: see :func:`write_model_file`.

    Raises:
        ValueError: another ending, or metadata that is not text.
    """
    path, further = Path(path), dict(metadata or {})
    if path.suffix != SUFFIX:
        raise ValueError(f"{path}: the name of a model file must end in {SUFFIX}")
    if _KEY in further or not all(isinstance(x, str) for pair in further.items() for x in pair):
        raise ValueError(f"metadata must be text by name, without the name {_KEY!r}, got {further}")
    header = json.dumps({"version": dealias.__version__, "task": task, "network": dict(arguments)})
    with replacing(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        save_file(_unshared(module.state_dict()), temporary, {"format": "pt", **further, _KEY: header})
        temporary.chmod(mode)  # safetensors would let nobody else read it


def read_header(path: str | Path) -> Header:
    """What a file of :func:`write_model_file` says of its network; weights are not read.

    Raises:
        ValueError: the file is damaged or none of dealias; the message names it.
        FileNotFoundError: there is no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: cannot be read as safetensors: {error}") from error
    if _KEY not in metadata:
        raise ValueError(f"{path}: no model file of dealias, its metadata lacks {_KEY!r}; found {sorted(metadata)}")
    found = _parsed(metadata.pop(_KEY), path)
    metadata.pop("format", None)
    return Header(found["version"], found["task"], found["network"], metadata)


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        ValueError: the file is damaged; the message names it.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: cannot be read as safetensors: {error}") from error


def _unshared(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, those that lie in the memory of another one copied: the format has none that share it."""
    seen: set[int] = set()
    tensors = {}
    for key, value in state.items():
        memory = value.untyped_storage().data_ptr()
        tensors[key] = (value.clone() if memory in seen else value).contiguous()
        seen.add(memory)
    return tensors


def _parsed(text: str, path: str | Path) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its metadata under {_KEY!r} is no JSON: {error}") from error
    kinds = {"version": str, "task": str, "network": dict}
    if not isinstance(found, dict) or not all(isinstance(found.get(key), kind) for key, kind in kinds.items()):
        raise ValueError(f"{path}: its metadata under {_KEY!r} must have version, task and network, found {text[:200]}")
    return found
