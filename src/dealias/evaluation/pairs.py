# SPDX-License-Identifier: Apache-2.0
"""Pair the files of two folders by their names; what has no counterpart is a problem, not an end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from .problems import Problem


class Pair(NamedTuple):
    """Two files of one name."""

    name: str
    first: Path
    second: Path


@dataclass(frozen=True)
class FileSet:
    """The files of a folder and its sub-folders by name.

    A name is the path relative to the folder, with ``/``, without the file's ending and without the suffix. Hidden
    files, files with other endings, and files whose names do not end with the suffix are passed over.

    Attributes:
        folder: where they are.
        kind: what they are, for people.
        endings: the file name endings, in lower case.
        suffix: what names have before the ending, such as ``_labelTrainIds``.
        files: file of each name.
        problems: folders that cannot be listed or are links, and files whose name another file has.
    """

    folder: Path
    kind: str
    endings: tuple[str, ...]
    suffix: str = ""
    files: dict[str, Path] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path, kind: str, endings: tuple[str, ...], suffix: str = "") -> FileSet:
        """Find the files.

        Raises:
            ValueError: there is no such folder, or no such file in it.
        """
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder")
        found = cls(folder, kind, endings, suffix)
        for path in _walk(folder, found.problems):
            if path.suffix.lower() in endings and path.stem.endswith(suffix):
                found._add(path)
        if not found.files:
            wanted = f"names ending with {suffix!r} and " if suffix else ""
            unlisted = "".join(f"; {problem.file}: {problem.reason}" for problem in found.problems[:1])
            raise ValueError(f"{folder}: no {kind} in it, looked for {wanted}{', '.join(endings)}{unlisted}")
        return found

    def only(self, names: Sequence[str]) -> FileSet:
        """The files with these names, as far as they are here."""
        return replace(self, files={name: self.files[name] for name in names if name in self.files})

    def lacks(self, name: str) -> str:
        """The sentence for a name that is not here."""
        return f"no {self.kind} {name + self.suffix!r} ({', '.join(self.endings)}) in {self.folder}"

    def _add(self, path: Path) -> None:
        name = path.relative_to(self.folder).with_suffix("").as_posix().removesuffix(self.suffix)
        if name in self.files:
            reason = f"has the same name {name!r} as {self.files[name].name}, which is used: keep one"
            self.problems.append(Problem(str(path), reason))
        else:
            self.files[name] = path


def pair_files(first: FileSet, second: FileSet) -> tuple[list[Pair], list[Problem]]:
    """Pairs in the order of their names, and the problems of both sets, then the files without a counterpart.

    Raises:
        ValueError: no file has a counterpart.
    """
    names = sorted(first.files.keys() & second.files.keys())
    if not names:
        examples = [f"{files.kind} {min(files.files, default=None)!r}" for files in (first, second)]
        raise ValueError(
            f"no file in {first.folder} has a counterpart in {second.folder}: their names, such as {examples[0]} and "
            f"{examples[1]}, must be equal but for a suffix; give the folders that correspond, and the suffixes"
        )
    problems = first.problems + second.problems
    for own, other in ((first, second), (second, first)):
        for name in sorted(own.files.keys() - other.files.keys()):
            problems.append(Problem(str(own.files[name]), other.lacks(name)))
    return [Pair(name, first.files[name], second.files[name]) for name in names], problems


def size_text(shape: Sequence[int]) -> str:
    """Width x height of the last two dimensions.

    >>> size_text((3, 1024, 2048))
    '2048x1024'
    """
    height, width = shape[-2:]
    return f"{width}x{height}"


def _walk(folder: Path, problems: list[Problem]) -> Iterator[Path]:
    """All files in sorted order, without hidden ones."""

    def report(error: OSError) -> None:
        problems.append(Problem(str(error.filename), f"cannot be listed: {error.strerror}"))

    for parent, folders, names in os.walk(folder, onerror=report):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        for link in filter(os.path.islink, (os.path.join(parent, name) for name in folders)):
            problems.append(Problem(link, "is a link to a folder, which is not followed: it could lead anywhere"))
        yield from (Path(parent, name) for name in sorted(names) if name[0] != ".")
