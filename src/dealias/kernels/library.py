# SPDX-License-Identifier: Apache-2.0
"""Finding, loading and checking the compiled kernels."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from .compiler import library_key, library_path


@dataclass(frozen=True)
class KernelStatus:
    """Whether compiled kernels run in this process.

    Attributes:
        active: they do, wherever they fit and unless another backend is forced.
        reason: why, or why not.
        path: the library, whether it is there or not.
    """

    active: bool
    reason: str
    path: Path


def load_kernels() -> ctypes.CDLL | None:
    """The library if it was built and passes its check, else None; it is looked for once per process."""
    return _load()[0]


def kernel_status() -> KernelStatus:
    """Whether compiled kernels are active, and why."""
    library, reason = _load()
    return KernelStatus(library is not None, reason, library_path())


def forget_kernels() -> None:
    """Look for the library again when it is next needed."""
    _load.cache_clear()


@cache
def _load() -> tuple[ctypes.CDLL | None, str]:
    path = library_path()
    if not path.is_file():
        return None, "not built for this processor and torch; dealias kernels build does it"
    torch.get_num_threads()  # torch's OpenMP is loaded by now, and the library shares it
    try:
        library = ctypes.CDLL(str(path))
        library.dealias_key.restype = ctypes.c_char_p
        key = library.dealias_key().decode()
    except (OSError, AttributeError) as error:
        return None, f"{path} cannot be loaded: {error}"
    if key != library_key():
        return None, f"{path} was built for something else (its key is {key}); dealias kernels build replaces it"
    return library, "built for this processor and torch"
