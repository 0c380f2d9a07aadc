# SPDX-License-Identifier: Apache-2.0
"""Progress and problems on the terminal, and problems in files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dealias._files import write_json, write_text

from .problems import Problem, problem_lines

SHOWN_PROBLEMS = 20
PROBLEM_FILES = ("problems.txt", "problems.json")


@contextmanager
def progress_bar(console: Console, text: str) -> Iterator[Callable[[int, int], None]]:
    """A bar; the function that is given moves it, with the number of things that are done and of all."""
    columns = (
        TextColumn(text),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(text, total=None, rate="")

        def move(done: int, total: int) -> None:
            elapsed = progress.tasks[0].elapsed
            progress.update(task, completed=done, total=total, rate=f"{done / elapsed:.1f}/s" if elapsed else "")

        yield move


def say(console: Console, text: str, style: str = "") -> None:
    """Print plain text; paths are neither coloured nor broken."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def show_problems(console: Console, problems: Sequence[Problem], out: Path | None) -> None:
    """Print the first twenty problems, and where all of them are."""
    say(console, problem_lines(problems[:SHOWN_PROBLEMS]).rstrip("\n"), "yellow")
    if len(problems) > SHOWN_PROBLEMS:
        where = f"all of them are in {out}" if out is not None else "give --out to have all of them in a file"
        say(console, f"... and {len(problems) - SHOWN_PROBLEMS} more; {where}", "yellow")


def write_problems(folder: Path, problems: Sequence[Problem]) -> None:
    """Write ``problems.txt``, one line each, and ``problems.json``; without problems remove those of an earlier run."""
    text, data = (folder / name for name in PROBLEM_FILES)
    if not problems:
        text.unlink(missing_ok=True)
        data.unlink(missing_ok=True)
        return
    write_text(text, problem_lines(problems))
    write_json(data, {"format": "dealias problems", "version": 1, "problems": [found._asdict() for found in problems]})
