# SPDX-License-Identifier: Apache-2.0
"""The formats of exported networks: how each is written and run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.export import ExportedProgram

from .onnx_file import open_onnx, write_onnx
from .program import DTYPES

Metadata = Mapping[str, str]
Function = Callable[[Tensor], Tensor]


class Format(NamedTuple):
    """A kind of file.

    Attributes:
        suffix: what names end in.
        write: write a program with text by name.
        open: the file as a function from images to logits, on the CPU.
        dtypes: in what networks in such files can compute.
        multiple: what height and width of the images must be multiples of.
    """

    suffix: str
    write: Callable[[ExportedProgram, Path, Metadata], None]
    open: Callable[[Path], Function]
    dtypes: tuple[torch.dtype, ...]
    multiple: int = 1


def _write_program(program: ExportedProgram, path: Path, metadata: Metadata) -> None:
    torch.export.save(program, path, extra_files=dict(metadata))


def _open_program(path: Path) -> Function:
    return torch.export.load(path).module()


def _write_package(program: ExportedProgram, path: Path, metadata: Metadata) -> None:
    options = {"aot_inductor.metadata": dict(metadata)}
    torch._inductor.aoti_compile_and_package(program, package_path=str(path), inductor_configs=options)


def _open_package(path: Path) -> Function:
    package: Any = torch._inductor.aoti_load_package(str(path))
    return lambda images: package(images)


_ALL = tuple(DTYPES.values())

FORMATS = {
    "onnx": Format(".onnx", write_onnx, open_onnx, (torch.float32, torch.float16)),  # its convolution lacks bfloat16
    "program": Format(".pt2", _write_program, _open_program, _ALL),
    "aoti": Format(".pt2", _write_package, _open_package, _ALL, 32),  # Inductor's code for other sizes is wrong
}
"""ONNX, ``torch.export`` programs, and programs compiled by Inductor for this kind of machine, by name."""


def format_of(path: Path, name: str | None = None) -> str:
    """The name of the format for a file: the given one, or the first with the file's ending.

    Raises:
        ValueError: unknown format or ending, or the two do not go together.

    >>> format_of(Path("a.onnx")), format_of(Path("a.pt2")), format_of(Path("a.pt2"), "aoti")
    ('onnx', 'program', 'aoti')
    """
    if name is not None and name not in FORMATS:
        raise ValueError(f"unknown format {name!r}; known: {', '.join(FORMATS)}")
    fitting = [known for known, format in FORMATS.items() if format.suffix == path.suffix]
    if not fitting:
        raise ValueError(f"{path}: a name must end in {' or '.join(sorted({f.suffix for f in FORMATS.values()}))}")
    if name is not None and name not in fitting:
        raise ValueError(f"{path}: files of the format {name} end in {FORMATS[name].suffix}")
    return name or fitting[0]


def write_exported(
    program: ExportedProgram,
    path: Path,
    name: str,
    metadata: Metadata,
    check: Callable[[Function], None] | None = None,
) -> None:
    """Write a program; the file gets its name only when it is whole and passed the check.

    Args:
        program: of :func:`dealias.export.trace`.
        path: the file, replaced if there is one.
        name: a key of :data:`FORMATS`.
        metadata: text by name, kept in the file.
        check: is given the file as a function, and raises if that is wrong.
    """
    format = FORMATS[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        made = Path(folder) / path.name
        format.write(program, made, metadata)
        if check is not None:
            check(format.open(made))
        made.replace(path)


def open_exported(path: Path, name: str | None = None) -> Function:
    """An exported network as a function from images to logits, float32, on the CPU.

    Args:
        path: the file.
        name: a key of :data:`FORMATS`; None: by the ending, so a program for ``.pt2``.

    Raises:
        ValueError: unknown format or ending.
        FileNotFoundError: there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    return FORMATS[format_of(path, name)].open(path)
