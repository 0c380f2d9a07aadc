# SPDX-License-Identifier: Apache-2.0
"""Worker processes that take one job after another and tell how far they are.

A worker keeps what it has built (imported libraries, decoded data) from job to job. Workers end with the process that
started them, also when that is killed, so that none writes into a run which is started again.
"""

from __future__ import annotations

import multiprocessing
import pickle
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import torch

from dealias._processes import follow_parent

Job = TypeVar("Job")
Report = Callable[[float], None]
"""Tells the share of a job that is done, 0 to 1."""


_PLAIN_ERRORS = (FloatingPointError, ValueError, Exception)


class JobError(RuntimeError):
    """The job at ``position`` failed; the cause is what it raised, or ``None`` where its process died."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position


def run_jobs(
    function: Callable[[Job, Report], None],
    jobs: Sequence[Job],
    workers: int,
    threads: int,
    on_progress: Callable[[int, float], None],
    on_done: Callable[[int], None],
) -> None:
    """Do every job and return when all are done; the callbacks run in this process.

    Args:
        function: importable; called as ``function(job, report)``.
        jobs: picklable; started in their order.
        workers: number of processes; with 1 the jobs are done in this one.
        threads: torch threads of each.
        on_progress: called with a job's position and the share of it that is done, first with 0 when it starts.
        on_done: called with the position of a job that has ended well.

    Raises:
        JobError: a job raised, or its process died; the other workers are stopped.
    """
    if workers == 1:
        _run_here(function, jobs, threads, on_progress, on_done)
    elif jobs:
        _run_apart(function, jobs, min(workers, len(jobs)), threads, on_progress, on_done)


def _run_here(
    function: Callable[[Job, Report], None],
    jobs: Sequence[Job],
    threads: int,
    on_progress: Callable[[int, float], None],
    on_done: Callable[[int], None],
) -> None:
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for position, job in enumerate(jobs):
            on_progress(position, 0.0)
            try:
                function(job, partial(on_progress, position))
            except Exception as error:
                raise JobError(position, repr(error)) from error
            on_done(position)
    finally:
        torch.set_num_threads(threads_before)


def _run_apart(
    function: Callable[[Job, Report], None],
    jobs: Sequence[Job],
    workers: int,
    threads: int,
    on_progress: Callable[[int, float], None],
    on_done: Callable[[int], None],
) -> None:
    waiting = deque(enumerate(jobs))
    crew = [_Worker(function, threads) for _ in range(workers)]
    try:
        for worker in crew:
            worker.start(*waiting.popleft())
        while busy := [worker for worker in crew if worker.busy]:
            ready = wait([worker.connection for worker in busy])
            for worker in (worker for worker in busy if worker.connection in ready):
                share = worker.receive()
                if share is not None:
                    on_progress(worker.position, share)
                    continue
                on_done(worker.position)
                if waiting:
                    worker.start(*waiting.popleft())
    finally:
        for worker in crew:
            worker.process.kill()
        for worker in crew:
            worker.process.join()


@dataclass(frozen=True)
class _Failure:
    """What a job raised, as it is sent to the parent."""

    error: Exception
    traceback: str


class _Worker:
    """A worker process, the pipe to it, and the position of its latest job."""

    def __init__(self, function: Callable[[Job, Report], None], threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(function, threads, theirs), daemon=True)
        self.process.start()
        theirs.close()  # so that the pipe ends with the process
        self.position = -1
        self.busy = False

    def start(self, position: int, job: Any) -> None:
        self.position, self.busy = position, True
        self.connection.send(job)

    def receive(self) -> float | None:
        """The next share that is done; ``None``: the job has ended."""
        try:
            message = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            reason = f"its worker process ended with exit code {self.process.exitcode}"
            raise JobError(self.position, reason) from None
        if isinstance(message, _Failure):
            raise JobError(self.position, message.traceback) from message.error
        self.busy = message is not None
        return message


def _work(function: Callable[[Any, Report], None], threads: int, connection: Connection) -> None:
    """Do one job after another: the main function of a worker process."""
    follow_parent()
    torch.set_num_threads(threads)
    while True:
        job = connection.recv()
        connection.send(0.0)
        try:
            function(job, connection.send)
        except Exception as error:
            connection.send(_Failure(_portable(error), traceback.format_exc()))
        else:
            connection.send(None)


def _portable(error: Exception) -> Exception:
    """The error, or one of its kind's ancestors with the same text if it cannot be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return next(kind for kind in _PLAIN_ERRORS if isinstance(error, kind))(str(error))
    return error
