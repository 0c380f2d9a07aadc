# SPDX-License-Identifier: Apache-2.0
"""Checkpoints as files: written whole or not at all, checked when they are read, and the one before kept.

That is :func:`previous_checkpoint`, for the case that the disk damages a file.
"""

import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from dealias._archives import check_archive
from dealias._files import replacing


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning plugin: a checkpoint gets its name only when it is complete, and is read without unpickling code."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write ``checkpoint`` and keep the one before; a process that dies meanwhile leaves both as they were.

        Raises:
            OSError: the disk is full; the message names the file and the free space.
        """
        if storage_options is not None:
            raise ValueError(f"storage_options are for remote storage, got {storage_options}")
        with replacing(path, keep=previous_checkpoint(path)) as temporary, temporary.open("wb") as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Read what :meth:`save_checkpoint` has written.

        Raises:
            ValueError: the file is damaged.
            FileNotFoundError: there is no such file.
        """
        return read_checkpoint(path, map_location)


def previous_checkpoint(path: str | Path) -> Path:
    """Where the checkpoint is kept that one at ``path`` has replaced.

    >>> previous_checkpoint("checkpoints/last.ckpt").name
    'last.previous.ckpt'
    """
    path = Path(path)
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def readable_checkpoint(path: str | Path) -> Path:
    """The checkpoint at ``path``, or, with a warning that says why, the one before if it is missing or damaged.

    Raises:
        ValueError: neither can be read; the message names both. Or ``path`` is damaged and there is none before.
        FileNotFoundError: there is neither.
    """
    path, previous = Path(path), previous_checkpoint(path)
    try:
        read_checkpoint(path, "meta")
    except (ValueError, FileNotFoundError) as error:
        if not previous.is_file():
            raise
        try:
            step = read_checkpoint(previous, "meta")["global_step"]
        except ValueError as other:
            raise ValueError(f"no checkpoint can be read: {error}; {other}") from other
        warnings.warn(f"{error}; using the checkpoint before, {previous}, of step {step}", stacklevel=2)
        return previous
    return path


def set_aside_damaged(path: Path) -> None:
    """Rename a checkpoint that was not readable to ``<stem>.damaged``, so that it does not replace the one before."""
    if path.is_file():
        os.replace(path, path.with_suffix(".damaged"))


def read_checkpoint(path: str | Path, map_location: Any) -> Any:
    """The content of a checkpoint, read without running code from it.

    Args:
        path: the file.
        map_location: the device of the tensors; ``"meta"``: only their shapes.

    Raises:
        ValueError: the file is damaged, or no checkpoint.
        FileNotFoundError: there is no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    try:
        check_archive(path)
        _check_sums(path)
        return torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # pickle, zip and torch raise a dozen types on damaged and foreign files
        raise ValueError(f"{path}: cannot be read as a checkpoint: {str(error) or repr(error)}") from error


def _check_sums(path: str | Path) -> None:
    """Compare the content of a zip archive with its check sums, which torch writes but does not look at."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"its content {damaged} is damaged")
