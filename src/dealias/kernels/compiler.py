# SPDX-License-Identifier: Apache-2.0
"""Compiling the kernels with the C++ compiler of the machine, for its processor."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from functools import cache
from importlib.resources import files
from pathlib import Path

import torch

from dealias._files import replacing

COMPILERS = ("c++", "g++", "clang++")
"""What is tried, in this order, where the environment variable ``CXX`` names nothing."""

# No -ffast-math: linked into a shared object it changes how the whole process rounds. Sums may be contracted to FMAs.
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fopenmp", "-fPIC", "-shared")
_SOURCES = files("dealias.kernels") / "source"


def build_kernels() -> Path:
    """Compile the kernels into the cache, in a second or two; what is there already is replaced.

    The folder is ``DEALIAS_CACHE``, or else ``dealias`` in ``XDG_CACHE_HOME`` or ``~/.cache``.

    Returns:
        The library.

    Raises:
        ValueError: there is no C++ compiler, or it fails; says what it printed.
    """
    compiler = os.environ.get("CXX") or next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise ValueError(f"found no C++ compiler: none of {', '.join(COMPILERS)}, and CXX is not set")
    path = library_path()
    units = [str(source) for source in _sources() if str(source).endswith(".cpp")]
    with replacing(path) as temporary:
        command = [compiler, *_FLAGS, f'-DDEALIAS_KEY="{library_key()}"', *units, "-o", str(temporary)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise ValueError(f"{compiler}: cannot be run: {error}") from error
        if done.returncode:
            raise ValueError(f"{compiler} failed with exit code {done.returncode}:\n{done.stderr.strip()[-2000:]}")
    return path


def library_path() -> Path:
    """Where the library of this processor, these sources and this torch is, or would be."""
    return cache_folder() / f"kernels-{library_key()}.so"


def cache_folder() -> Path:
    """The folder of what was built; see :func:`build_kernels`."""
    given = os.environ.get("DEALIAS_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dealias"


@cache
def library_key() -> str:
    """A fingerprint of everything that the library depends on."""
    digest = hashlib.sha256()
    for part in (torch.__version__, platform.machine(), _processor(), *_FLAGS):
        digest.update(part.encode() + b"\0")
    for source in _sources():
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _sources() -> list[Path]:
    return sorted((Path(str(source)) for source in _SOURCES.iterdir() if source.is_file()), key=lambda path: path.name)


def _processor() -> str:
    """What instructions the processor has, where the system says so."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
