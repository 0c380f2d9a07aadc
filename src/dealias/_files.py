# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all: written under a temporary name, then renamed."""

import errno
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PART = ".{name}.{process}.part"
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def replacing(path: str | Path, keep: Path | None = None) -> Iterator[Path]:
    """Give a temporary path to write to, which takes the place of ``path`` when the block ends well.

    A process that dies inside the block leaves what was at ``path`` as it was. The folder is made if it is missing.

    Args:
        path: the file to write or replace.
        keep: in the same folder, what the file that is replaced is called from then on; None: it is lost.

    Yields:
        A path in the same folder. It is removed if the block raises.

    Raises:
        OSError: as :func:`telling_free_space`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(_PART.format(name=path.name, process=os.getpid()))
    try:
        with telling_free_space(path):
            yield temporary
            with temporary.open("rb+") as file:  # on the disk before the name is: also a power cut leaves a whole file
                os.fsync(file.fileno())
        if keep is not None and path.exists():
            _give_second_name(path, keep)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def telling_free_space(path: Path) -> Iterator[None]:
    """Let an error of the block that a full disk is behind name the file and the free space, unless it names a file.

    Raises:
        OSError: instead of that error.
    """
    try:
        yield
    except Exception as error:
        cause = lack_of_space(error)
        if cause is None or (isinstance(error, OSError) and error.filename is not None):
            raise
        free = shutil.disk_usage(path.parent).free / 2**20
        raise OSError(cause.errno, f"{cause.strerror} ({free:.1f} MiB are free)", str(path)) from error


def lack_of_space(error: BaseException | None) -> OSError | None:
    """What says that a disk, quota or limit is full: the error itself, or the one behind what a library made of it."""
    while error is not None and not (isinstance(error, OSError) and error.errno in _NO_SPACE):
        error = error.__cause__ or error.__context__
    return error


def remove_unfinished(folder: Path) -> None:
    """Remove what processes that were killed within :func:`replacing` have left anywhere in a folder."""
    for left in folder.rglob(_PART.format(name="*", process="*")):
        left.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8, see :func:`replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, data: Mapping[str, Any]) -> None:
    """Write ``data`` as JSON, see :func:`replacing`; nan and infinities, which JSON lacks, become null.

    Raises:
        TypeError: ``data`` holds something else than mappings, lists, tuples, strings, numbers, booleans and None.
    """
    write_text(path, json.dumps(_without_nan(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return value


def _give_second_name(path: Path, name: Path) -> None:
    """On a file system without links the file loses its first name instead."""
    name.unlink(missing_ok=True)
    try:
        os.link(path, name)
    except OSError:
        os.replace(path, name)
