# SPDX-License-Identifier: Apache-2.0
"""Jobs in worker processes with progress on the terminal: a bar for everything and one for each job under way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .pool import JobError, Report, run_jobs


class Named(Protocol):
    """Anything with a name for people."""

    @property
    def name(self) -> str:
        """Short, on one line."""
        ...


NamedJob = TypeVar("NamedJob", bound=Named)


class Board(Progress):
    """The bars; give them the news of the jobs.

    Args:
        names: of the jobs.
        console: to draw on.
    """

    def __init__(self, names: Iterable[str], console: Console) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        super().__init__(*columns, console=console, speed_estimate_period=120)
        self._names = list(names)
        self._shares = [0.0] * len(self._names)
        self._bars: dict[int, TaskID] = {}
        self._everything = self.add_task("everything", total=len(self._names))

    def show(self, position: int, share: float) -> None:
        """Show that ``share`` of a job is done."""
        if position not in self._bars:
            self._bars[position] = self.add_task(self._names[position], total=1.0)
        self.update(self._bars[position], completed=share)
        self._add_up(position, share)

    def finish(self, position: int) -> None:
        """Take a finished job's bar away."""
        self.remove_task(self._bars.pop(position))
        self._add_up(position, 1.0)

    def _add_up(self, position: int, share: float) -> None:
        self._shares[position] = share
        self.update(self._everything, completed=sum(self._shares))


def run_on_board(
    function: Callable[[NamedJob, Report], None],
    jobs: Sequence[NamedJob],
    crew: tuple[int, int],
    console: Console,
    describe: Callable[[NamedJob], str],
) -> None:
    """Do jobs as :func:`dealias.experiments.pool.run_jobs` does, and print a line when one is done.

    Args:
        function: importable; called as ``function(job, report)``.
        jobs: picklable, each with a name.
        crew: number of worker processes, and torch threads of each.
        console: to print on.
        describe: the line for a job that is done.

    Raises:
        ValueError: raised by a job.
        FloatingPointError: raised by a job.
        RuntimeError: a job failed in another way. All messages begin with the job's name.
    """
    if not jobs:
        return
    with Board([job.name for job in jobs], console) as board:

        def done(position: int) -> None:
            board.finish(position)
            say(console, describe(jobs[position]))

        try:
            run_jobs(function, jobs, *crew, board.show, done)
        except JobError as failure:
            raise _named(jobs[failure.position].name, failure) from failure


def say(console: Console, text: str) -> None:
    """Print plain text; paths are neither coloured nor broken."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _named(name: str, failure: JobError) -> Exception:
    cause = failure.__cause__
    for kind in (FloatingPointError, ValueError):
        if isinstance(cause, kind):
            return kind(f"{name}: {cause}")
    return RuntimeError(f"{name}: {failure}")
