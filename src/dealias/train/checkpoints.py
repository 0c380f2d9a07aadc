# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: written whole or not at all, and enough to rebuild the network."""

from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn

from dealias._files import replacing
from dealias.fusion import FusionFactory
from dealias.models import ClassificationModel, DetectionModel, SegmentationModel, rebuild, rebuild_classifier

_PREFIX = "network."
Network = TypeVar("Network", bound=nn.Module)
_NEEDED = ("dealias", "state_dict", "global_step", "epoch")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning plugin: a checkpoint gets its name only when it is complete, and is read without unpickling code."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write ``checkpoint``; a process that dies meanwhile leaves the file that was at ``path``."""
        if storage_options is not None:
            raise ValueError(f"storage_options are for remote storage, got {storage_options}")
        with replacing(path) as temporary:
            torch.save(checkpoint, temporary)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Read what :meth:`save_checkpoint` has written.

        Raises:
            ValueError: the file is damaged.
            FileNotFoundError: there is no such file.
        """
        return _read(path, map_location)


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
        path: a checkpoint that a dealias run wrote.
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
    network = rebuild(checkpoint["dealias"]["network"], fusion)
    return _with_weights(network, checkpoint, path), _about(checkpoint, "SegmentationData")


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
    network = rebuild_classifier(checkpoint["dealias"]["network"])
    return _with_weights(network, checkpoint, path), _about(checkpoint, "ClassificationData")


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
    network: Any = rebuild(checkpoint["dealias"]["network"], fusion)  # a detector by its architecture
    return _with_weights(network, checkpoint, path), _about(checkpoint, "ObjectsData")


def checkpoint_task(path: str | Path) -> str:
    """The task of the run that wrote a checkpoint: ``segmentation``, ``classification`` or ``objects``.

    Raises:
        ValueError: the file is damaged or none of dealias; the message names it and what is missing.
        FileNotFoundError: there is no such file.
    """
    return _task_of(_read(path, "cpu"), path)


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
    task: str = checkpoint["dealias"].get("task", "segmentation")  # the only one there was before it was stored
    return task


def _checkpoint_of(path: str | Path, task: str, builder: str) -> Any:
    checkpoint = _read(path, "cpu")
    check_origin(checkpoint, path, task)
    if not checkpoint["dealias"]["network"]:
        raise ValueError(f"{path}: its network was not built by {builder}, so it cannot be rebuilt")
    return checkpoint


def _with_weights(network: Network, checkpoint: Any, path: str | Path) -> Network:
    """The network with the weights of a checkpoint, in evaluation mode."""
    state = checkpoint["state_dict"]
    weights = {key.removeprefix(_PREFIX): value for key, value in state.items() if key.startswith(_PREFIX)}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{path}: its weights do not fit the network that it describes: {error}") from error
    return network.eval()


def _about(checkpoint: Any, data: str) -> dict[str, Any]:
    """What is stored with the weights: the network's arguments, how long it was trained, on what data."""
    stored = checkpoint.get(data, {})
    described = {key: stored.get(key) for key in ("classes", "palette", "ignore_index", "mean", "std")}
    progress = {"step": checkpoint["global_step"], "epoch": checkpoint["epoch"]}
    return {**checkpoint["dealias"], **progress, **described}


def _read(path: str | Path, map_location: Any) -> Any:
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # pickle, zip and torch raise a dozen types on damaged and foreign files
        raise ValueError(f"{path}: cannot be read as a checkpoint: {error}") from error
