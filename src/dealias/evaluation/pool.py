# SPDX-License-Identifier: Apache-2.0
"""Work through chunks of files in worker processes that cannot be left behind and whose death is noticed."""

from __future__ import annotations

import math
import multiprocessing
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TypeVar

import torch

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
    on_result: Callable[[Result, int], None],
) -> None:
    """Call ``function`` on consecutive chunks of the items, and ``on_result`` here, in their order.

    A few chunks per worker are under way at any time, so that memory does not grow with the number of items. torch uses
    one thread per worker. As always where processes are started, a script that calls this keeps its own work below
    ``if __name__ == "__main__":``.

    Args:
        function: importable, or a partial of an importable function with arguments that can be pickled.
        items: can be pickled.
        workers: number of processes; 1: no others than this one; ``None``: one per core.
        on_result: called with a chunk's result and its number of items.

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


def _run_here(
    function: Callable[[Sequence[Item]], Result],
    chunks: Sequence[Sequence[Item]],
    on_result: Callable[[Result, int], None],
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for chunk in chunks:
            on_result(function(chunk), len(chunk))
    finally:
        torch.set_num_threads(threads)


def _run_apart(
    function: Callable[[Sequence[Item]], Result],
    chunks: Sequence[Sequence[Item]],
    workers: int,
    on_result: Callable[[Result, int], None],
) -> None:
    executor = ProcessPoolExecutor(workers, mp_context=_context(function), initializer=_prepare_worker)
    waiting, pending = deque(chunks), deque[tuple[Future[Result], int]]()
    try:
        while waiting or pending:
            while waiting and len(pending) < workers * _CHUNKS_AHEAD:
                chunk = waiting.popleft()
                pending.append((executor.submit(function, chunk), len(chunk)))
            future, length = pending.popleft()
            on_result(future.result(), length)
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a worker process was killed, perhaps by the system for lack of memory; fewer --workers need less"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def _context(function: Callable[..., object]) -> multiprocessing.context.BaseContext:
    """Workers are forked, where the system can, from a fresh process that has imported the function's module once."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    plain = function.func if isinstance(function, partial) else function
    context.set_forkserver_preload([plain.__module__])
    return context


def _prepare_worker() -> None:
    follow_parent()
    torch.set_num_threads(1)
