# SPDX-License-Identifier: Apache-2.0
"""Checkpoints hold enough to rebuild the network; see :mod:`dealias.train.checkpoint_files` for the files."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from dealias.fusion import FusionFactory
from dealias.models import ClassificationModel, DetectionModel, SegmentationModel, rebuild, rebuild_classifier
from dealias.models.files import SUFFIX, read_header, read_tensors
from dealias.models.rebuilding import build_with_weights
from dealias.train.checkpoint_files import read_checkpoint

_PREFIX = "network."
_DATA = {"segmentation": "SegmentationData", "classification": "ClassificationData", "objects": "ObjectsData"}
_NEEDED = ("dealias", "state_dict", "global_step", "epoch")


def best_checkpoint(folder: str | Path, score: str = "mIoU") -> ModelCheckpoint:
    """Lightning callback that keeps ``best.ckpt``, of the validation with the highest ``score``."""
    return ModelCheckpoint(
        dirpath=folder,
        filename="best",
        monitor=f"val/{score}",
        mode="max",
        auto_insert_metric_name=False,
        save_on_train_epoch_end=False,
        enable_version_counter=False,
    )


def load_checkpoint(path: str | Path, fusion: FusionFactory | None = None) -> tuple[SegmentationModel, dict[str, Any]]:
    """The network of a checkpoint, rebuilt from what is stored in it.

    Args:
        path: a checkpoint that a dealias run wrote, or a model file as ``dealias convert`` writes it.
        fusion: the factory, for a network that was built with one instead of a fusion's name.

    Returns:
        The network in evaluation mode, on the CPU, and a dictionary with ``version`` of dealias, ``network`` (the
        arguments of ``create_model``), ``step``, ``epoch``, ``scores`` of the latest validation, and of the data, as
        far as known, ``classes``, ``palette``, ``ignore_index``, ``mean`` and ``std`` (None otherwise).

    Raises:
        ValueError: the file is damaged or none of dealias; the message names it and what is missing.
        FileNotFoundError: there is no such file.
    """
    checkpoint = _checkpoint_of(path, "segmentation", "create_model")
    network = _network(lambda config: rebuild(config, fusion), SegmentationModel, checkpoint, path)
    return network, _about(checkpoint, _DATA["segmentation"], path)


def load_classifier(path: str | Path) -> tuple[ClassificationModel, dict[str, Any]]:
    """The classifier of a checkpoint, rebuilt from what is stored in it.

    Args:
        path: a checkpoint that a dealias run with the task ``classification`` wrote.

    Returns:
        The network in evaluation mode, on the CPU, and a dictionary as that of :func:`load_checkpoint`, ``network``
        being the arguments of ``create_classifier``; ``palette`` and ``ignore_index`` are None.

    Raises:
        ValueError: the file is damaged or holds no classifier of dealias; the message names it and what is missing.
        FileNotFoundError: there is no such file.
    """
    checkpoint = _checkpoint_of(path, "classification", "create_classifier")
    network = _network(rebuild_classifier, ClassificationModel, checkpoint, path)
    return network, _about(checkpoint, _DATA["classification"], path)


def load_detector(path: str | Path, fusion: FusionFactory | None = None) -> tuple[DetectionModel, dict[str, Any]]:
    """The network of a checkpoint that finds objects, rebuilt from what is stored in it.

    Args:
        path: a checkpoint that a dealias run with the task ``objects`` wrote.
        fusion: as in :func:`load_checkpoint`.

    Returns:
        The network in evaluation mode, on the CPU, and a dictionary as that of :func:`load_checkpoint`; ``classes`` are
        in the order of its categories, ``ignore_index`` is None.

    Raises:
        ValueError: the file is damaged or holds no such network; the message names it and what is missing.
        FileNotFoundError: there is no such file.
    """
    checkpoint = _checkpoint_of(path, "objects", "create_detector")
    network = _network(lambda config: rebuild(config, fusion), DetectionModel, checkpoint, path)
    return network, _about(checkpoint, _DATA["objects"], path)


def checkpoint_task(path: str | Path) -> str:
    """The task of the run that wrote a checkpoint: ``segmentation``, ``classification`` or ``objects``.

    Raises:
        ValueError: the file is damaged or none of dealias; the message names it and what is missing.
        FileNotFoundError: there is no such file.
    """
    return _task_of(_read_network(path), path)


def check_origin(checkpoint: Any, path: str | Path | None, task: str) -> None:
    """Check that a checkpoint was written by a dealias run of a task.

    Raises:
        ValueError: it was not; the message names ``path`` and what is missing.
    """
    found = _task_of(checkpoint, path)
    if found != task:
        raise ValueError(f"{path}: expected a checkpoint of the task {task}, got one of {found}")


def _task_of(checkpoint: Any, path: str | Path | None) -> str:
    found = list(checkpoint) if isinstance(checkpoint, dict) else type(checkpoint).__name__
    missing = [key for key in _NEEDED if not isinstance(checkpoint, dict) or key not in checkpoint]
    if missing:
        raise ValueError(f"{path}: no checkpoint of dealias, it lacks {', '.join(missing)}; found {found}")
    wrong = [key for key in ("dealias", "state_dict") if not isinstance(checkpoint[key], Mapping)]
    if wrong:
        raise ValueError(f"{path}: no checkpoint of dealias, its {wrong[0]} must hold things by name")
    return str(checkpoint["dealias"].get("task", "segmentation"))  # the only one there was before it was stored


def _checkpoint_of(path: str | Path, task: str, builder: str) -> Any:
    checkpoint = _read_network(path)
    check_origin(checkpoint, path, task)
    if not checkpoint["dealias"].get("network"):
        raise ValueError(f"{path}: its network was not built by {builder}, so it cannot be rebuilt")
    return checkpoint


def _network(build: Callable[[Any], Any], kind: type[nn.Module], checkpoint: Any, path: str | Path) -> Any:
    """The network of a checkpoint with its weights, in evaluation mode."""
    state, config = checkpoint["state_dict"], checkpoint["dealias"]["network"]
    weights = {str(key).removeprefix(_PREFIX): value for key, value in state.items() if str(key).startswith(_PREFIX)}
    network: nn.Module = build_with_weights(lambda: build(config), weights, path)
    if not isinstance(network, kind):
        raise ValueError(f"{path}: its network is no {kind.__name__} but a {type(network).__name__}")
    return network


def _about(checkpoint: Any, data: str, path: str | Path) -> dict[str, Any]:
    """What is stored with the weights: the network's arguments, how long it was trained, on what data."""
    stored = checkpoint.get(data) or {}
    try:
        described = {key: convert(stored.get(key)) for key, convert in _DESCRIBED.items()}
        progress = {key: int(checkpoint[name]) for key, name in (("step", "global_step"), ("epoch", "epoch"))}
        if (described["mean"] is None) != (described["std"] is None):
            raise ValueError("mean without std, or the reverse")
    except Exception as error:  # by values of unexpected kinds
        raise ValueError(f"{path}: what it says of its data or training is wrong: {error!r}") from error
    return {**checkpoint["dealias"], **progress, **described}


def _optional(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


_DESCRIBED = {
    "classes": _optional(lambda names: [str(name) for name in names]),
    "palette": _optional(lambda colours: [[int(r), int(g), int(b)] for r, g, b in colours]),
    "ignore_index": _optional(int),
    "mean": _optional(lambda values: [float(value) for value in values]),
    "std": _optional(lambda values: [float(value) for value in values]),
}
"""What a checkpoint says of its data, if it knows, and the kinds of it."""


def _read_network(path: str | Path) -> Any:
    """The content of a checkpoint; a model file in the form of one that was trained for no step."""
    if Path(path).suffix != SUFFIX:
        return read_checkpoint(path, "cpu")
    header = read_header(path)
    if header.task not in _DATA:
        raise ValueError(f"{path}: it holds no whole network but a part, a {header.task}")
    try:
        data = json.loads(header.metadata.get("data", "{}"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: what it says of its data is no JSON: {error}") from error
    return {
        "dealias": {"version": header.version, "task": header.task, "network": header.network, "scores": {}},
        "state_dict": {_PREFIX + key: value for key, value in read_tensors(path).items()},
        "global_step": 0,
        "epoch": 0,
        _DATA[header.task]: data,
    }
