# SPDX-License-Identifier: Apache-2.0
"""Work through chunks of files in worker processes that cannot be left behind and whose death is noticed.

torch is imported where it is used: loading it takes a second, in which the workers can load it already.
"""

from __future__ import annotations

import math
import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import forkserver
from typing import TypeVar

from dealias._processes import available_cores, follow_parent

Item = TypeVar("Item")
Result = TypeVar("Result")

_LARGEST_CHUNK = 8
_CHUNKS_PER_WORKER = 4
_CHUNKS_AHEAD = 3


def run_chunks(
    function: Callable[[Sequence[Item]], Result],
    items: Sequence[Item],
    workers: int | None,
    on_result: Callable[[Result, int], bool | None],
) -> None:
    """Call ``function`` on consecutive chunks of the items, and ``on_result`` here, in their order.

    A few chunks per worker are under way at any time, so that memory does not grow with the number of items. torch uses
    one thread per worker. As always where processes are started, a script that calls this keeps its own work below
    ``if __name__ == "__main__":``.

    Args:
        function: importable, or a partial of an importable function with arguments that can be pickled.
        items: can be pickled.
        workers: number of processes; 1: no others than this one; ``None``: one per core.
        on_result: called with a chunk's result and its number of items; where it returns True, the work ends there.

    Raises:
        ValueError: fewer than one worker.
        ChildProcessError: a worker was killed. What ``function`` raises is raised here, too.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"the number of workers must be at least 1, got {workers}")
    workers = workers or available_cores()
    size = max(1, min(_LARGEST_CHUNK, math.ceil(len(items) / (workers * _CHUNKS_PER_WORKER))))
    chunks = [items[start : start + size] for start in range(0, len(items), size)]
    if workers == 1 or len(chunks) < 2:
        _run_here(function, chunks, on_result)
    else:
        _run_apart(function, chunks, min(workers, len(chunks)), on_result)


def begin_import(module: str) -> None:
    """Let the process from which workers are forked import their function's module while this one goes on."""
    if not _can_fork_apart():
        return
    forkserver.set_forkserver_preload([module])
    if threading.current_thread() is not threading.main_thread():  # the only one that may set signals
        forkserver.ensure_running()
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which is inherited: Ctrl-C is for this process alone
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, handler)


def _run_here(
    function: Callable[[Sequence[Item]], Result],
    chunks: Sequence[Sequence[Item]],
    on_result: Callable[[Result, int], bool | None],
) -> None:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for chunk in chunks:
            if on_result(function(chunk), len(chunk)):
                break
    finally:
        torch.set_num_threads(threads)


def _run_apart(
    function: Callable[[Sequence[Item]], Result],
    chunks: Sequence[Sequence[Item]],
    workers: int,
    on_result: Callable[[Result, int], bool | None],
) -> None:
    executor = ProcessPoolExecutor(workers, mp_context=_context(function), initializer=_prepare_worker)
    waiting, pending = deque(chunks), deque[tuple[Future[Result], int]]()
    try:
        while waiting or pending:
            while waiting and len(pending) < workers * _CHUNKS_AHEAD:
                chunk = waiting.popleft()
                pending.append((executor.submit(function, chunk), len(chunk)))
            future, length = pending.popleft()
            if on_result(future.result(), length):
                break
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a worker process was killed, perhaps by the system for lack of memory; fewer --workers need less"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def _context(function: Callable[..., object]) -> multiprocessing.context.BaseContext:
    """Workers are forked, where the system can, from a fresh process that has imported the function's module once."""
    if not _can_fork_apart():
        return multiprocessing.get_context("spawn")
    plain = function.func if isinstance(function, partial) else function
    begin_import(plain.__module__)
    return multiprocessing.get_context("forkserver")


def _can_fork_apart() -> bool:
    return "forkserver" in multiprocessing.get_all_start_methods()


def _prepare_worker() -> None:
    import torch

    follow_parent()
    torch.set_num_threads(1)
