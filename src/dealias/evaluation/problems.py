# SPDX-License-Identifier: Apache-2.0
"""Files that cannot be used, each with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

Read = TypeVar("Read")

_SHOWN_ITEMS = 10


class Problem(NamedTuple):
    """A file or folder and what is wrong with it."""

    file: str
    reason: str


class BadFilesError(ValueError):
    """Some files cannot be used; all of them are in ``problems``."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        super().__init__(f"{len(problems)} problems, the first: {first.file}: {first.reason}")
        self.problems = list(problems)


def read_or_report(read: Callable[[Path], Read], file: Path, problems: list[Problem]) -> Read | None:
    """What ``read`` gives for a file; if it raises ValueError, a problem is noted and the result is ``None``."""
    try:
        return read(file)
    except ValueError as error:
        problems.append(Problem(str(file), str(error).removeprefix(f"{file}: ")))
        return None


def problem_lines(problems: Iterable[Problem]) -> str:
    """One line per problem."""
    return "".join(f"{problem.file}: {' '.join(problem.reason.split())}\n" for problem in problems)


def shortened(items: Sequence[object]) -> str:
    """The first ten, separated by commas.

    >>> shortened(range(12))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...'
    """
    return ", ".join(map(str, items[:_SHOWN_ITEMS])) + (", ..." if len(items) > _SHOWN_ITEMS else "")
