# SPDX-License-Identifier: Apache-2.0
"""What all worker processes of the library share: how many there are, and that none outlives its parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def follow_parent() -> None:
    """To be called at the start of a worker: leave Ctrl-C, which reaches it too, to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
