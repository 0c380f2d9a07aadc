# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all: written under a temporary name, then renamed."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to, which takes the place of ``path`` when the block ends well.

    A process that dies inside the block leaves what was at ``path`` as it was. The folder is made if it is missing.

    Args:
        path: the file to write or replace.

    Yields:
        A path in the same folder. It is removed if the block raises.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb+") as file:  # on the disk before the name is: also a power cut leaves a whole file
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
