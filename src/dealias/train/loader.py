# SPDX-License-Identifier: Apache-2.0
"""A training loader that can start in the middle of an epoch, as a resumed run must."""

import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import BatchSampler, DataLoader

from dealias._processes import follow_parent
from dealias.data import EpochSampler, SeededSamples, collate_samples

_LONGEST_WAIT = 900
"""Seconds for a batch: a reader that finds /dev/shm full says so, but neither sends the batch nor ends."""


class ResumableLoader(DataLoader[Any]):
    """Batches of one epoch after the other; its state is how many batches of the epoch it has given.

    The trainer stores the state with a checkpoint and sets the sampler's epoch. An epoch whose state was loaded starts
    behind the batches that were given; every other one starts at its beginning. The last, smaller batch of an epoch is
    left out.

    Args:
        dataset: samples by (index, epoch).
        sampler: their order.
        batch_size: samples per batch.
        workers: number of worker processes; 0 reads in this one.
        collate: from samples to a batch.

    Raises:
        ValueError: there are fewer samples than one batch needs.
    """

    def __init__(
        self,
        dataset: SeededSamples,
        sampler: EpochSampler,
        batch_size: int,
        workers: int,
        collate: Callable[[Any], Any] = collate_samples,
    ) -> None:
        if len(sampler) < batch_size:
            raise ValueError(f"a training batch needs {batch_size} samples per process, there are {len(sampler)}")
        keys: Any = sampler  # torch expects samplers of integers
        self._batches = _LateStart(keys, batch_size, drop_last=True)
        self._samples = sampler
        self._given = 0
        self._resumed: dict[str, int] = {}
        super().__init__(dataset, batch_sampler=self._batches, **loading_options(workers, collate))

    def __iter__(self) -> Any:
        # A generator: nothing happens before the first batch is asked for, when the epoch has been set.
        resumed, self._resumed = self._resumed, {}
        self._given = resumed["batches"] if resumed.get("epoch") == self._samples.epoch else 0
        self._batches.start = self._given
        for batch in super().__iter__():
            self._given += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The epoch and the number of its batches that were given."""
        return {"epoch": self._samples.epoch, "batches": self._given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Start behind the given batches when the epoch of ``state`` is iterated next."""
        self._resumed = dict(state)


class _LateStart(BatchSampler):
    """Batches of an epoch from number ``start`` on."""

    start = 0

    def __iter__(self) -> Iterator[list[Any]]:
        return itertools.islice(super().__iter__(), self.start, None)


def loading_options(workers: int, collate: Callable[[Any], Any] = collate_samples) -> dict[str, Any]:
    """What all loaders have in common, as arguments of torch's ``DataLoader``."""
    return {
        "collate_fn": collate,
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "pin_memory": torch.cuda.is_available(),
        "worker_init_fn": _follow_trainer,
        "timeout": _LONGEST_WAIT if workers > 0 else 0,
    }


def _follow_trainer(worker: int) -> None:
    """Ctrl-C, and often SIGTERM, reach every process; one that reads must not end before the trainer has saved."""
    if sys.platform == "linux":  # elsewhere senders of signals are not known
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # before there are threads, which inherit it
        threading.Thread(target=_end_when_trainer_says, daemon=True).start()
    follow_parent()


def _end_when_trainer_says() -> None:
    """A trainer that fails ends its readers with SIGTERM and waits for them."""
    trainer = multiprocessing.parent_process()
    while sys.platform == "linux":
        sender = signal.sigwaitinfo({signal.SIGTERM}).si_pid
        if trainer is not None and sender == trainer.pid:
            os._exit(0)
