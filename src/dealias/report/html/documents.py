# SPDX-License-Identifier: Apache-2.0
"""Reading files that somebody else may have written: whatever is wrong with them becomes an error that names them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dealias._documents import read_json

_LARGEST = 2**28


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        ValueError: there is no file, or no object in it, or it has more than 256 MiB.
    """
    if not path.is_file():
        raise ValueError(f"{path} is missing")
    data = read_json(path, _LARGEST)
    if not isinstance(data, dict):
        raise ValueError(f"{path}: expected a JSON object, found {type(data).__name__}")
    return data


@contextmanager
def explained(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever goes wrong inside the block into a ``ValueError`` that names the file.

    Args:
        path: the file or folder that the block reads.
        kind: what it should be.
    """
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{path} is not {kind} as expected: {error} is missing") from error
    except Exception as error:  # whatever a value of an unexpected kind leads to, and what decoders of images raise
        raise ValueError(f"{path} is not {kind} as expected: {error}") from error


def number(value: Any) -> float:
    """A number from JSON, whose null stands for nan.

    Raises:
        ValueError: it is infinite, which JSON does not have.

    >>> number(0.5), number(None)
    (0.5, nan)
    """
    found = math.nan if value is None else float(value)
    if math.isinf(found):
        raise ValueError(f"expected a finite number, found {value}")
    return found
