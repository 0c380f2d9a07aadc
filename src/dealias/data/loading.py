# SPDX-License-Identifier: Apache-2.0
"""Order and augmentation that depend on (seed, epoch, index) alone, so that runs of different models are paired.

Neither the number of workers, nor the batch size, nor what a model draws changes what a sample looks like or when it
comes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from .sample import Sample, SegmentationDataset

Key = tuple[int, int]
"""(index, epoch)."""


class Samples(Protocol):
    """A map-style data set of samples of any kind."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class SeededSamples(Dataset[Any]):
    """Read and transform a sample with every generator seeded by (seed, epoch, index).

    The generators of torch (CPU), numpy and ``random`` are put back afterwards, so reading draws nothing from the
    caller.

    Args:
        dataset: any map-style data set.
        transform: of a sample; ``None``: as read.
        seed: not negative.
    """

    def __init__(self, dataset: Samples, transform: Callable[[Any], Any] | None = None, seed: int = 0) -> None:
        _check_seed(seed)
        self.dataset, self.transform, self.seed = dataset, transform, seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: int | Key) -> Any:
        """The sample of ``(index, epoch)``, as :class:`EpochSampler` gives it; a plain index means epoch 0."""
        index, epoch = key if isinstance(key, tuple) else (key, 0)
        with _seeded(self.seed, epoch, index):
            sample = self.dataset[index]
            return sample if self.transform is None else self.transform(sample)


class SeededTransform(SeededSamples):
    """:class:`SeededSamples` of a segmentation data set, whose attributes are this one's.

    Args:
        dataset: any segmentation data set.
        transform: of a sample; ``None``: as read.
        seed: not negative.
    """

    def __init__(
        self, dataset: SegmentationDataset, transform: Callable[[Sample], Sample] | None = None, seed: int = 0
    ) -> None:
        super().__init__(dataset, transform, seed)
        self.classes, self.palette, self.ignore_index = dataset.classes, dataset.palette, dataset.ignore_index


class EpochSampler(Sampler[Key]):
    """Give ``(index, epoch)`` in an order fixed by (seed, epoch), sharded over processes.

    Epochs are set from outside, by :meth:`set_epoch`, as with torch's ``DistributedSampler``.

    Args:
        dataset_length: number of samples.
        seed: of the permutation, not negative.
        shuffle: permute; otherwise in order.
        rank: of this process.
        world_size: number of processes.
        drop_uneven: drop the tail so that each rank has equally many samples (training); otherwise each sample comes
            exactly once over all ranks, and the first ranks may have one more (evaluation).

    Raises:
        ValueError: a rank outside of 0..world_size-1, or fewer samples than ranks where each must have one.

    >>> list(EpochSampler(5, shuffle=False, rank=1, world_size=2, drop_uneven=False))
    [(1, 0), (3, 0)]
    """

    def __init__(
        self,
        dataset_length: int,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
        drop_uneven: bool = True,
    ) -> None:
        _check_seed(seed)
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must be in 0..{world_size - 1}, got {rank}")
        if drop_uneven and dataset_length < world_size:
            raise ValueError(f"{dataset_length} samples cannot be shared by {world_size} ranks")
        self.dataset_length, self.seed, self.shuffle = dataset_length, seed, shuffle
        self.rank, self.world_size, self.drop_uneven = rank, world_size, drop_uneven
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        if self.drop_uneven:
            return self.dataset_length // self.world_size
        return len(range(self.rank, self.dataset_length, self.world_size))

    def __iter__(self) -> Iterator[Key]:
        order = range(self.dataset_length)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(self.dataset_length).tolist()
        epoch = self.epoch
        return ((index, epoch) for index in order[self.rank :: self.world_size][: len(self)])


def collate_samples(samples: Sequence[Sample]) -> dict[str, torch.Tensor | list[str]]:
    """Stack samples into a batch: ``image`` [B, 3, H, W], ``mask`` [B, H, W], ``name`` list of B.

    Raises:
        ValueError: sizes differ; the message names samples and sizes.
    """
    sizes = {sample["name"]: tuple(sample["mask"].shape) for sample in samples}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise ValueError(
            f"samples of one batch must have one size (height, width), got {listed}; "
            "use batch size 1 or a transform to one size"
        )
    return {
        "image": torch.stack([sample["image"] for sample in samples]),
        "mask": torch.stack([sample["mask"] for sample in samples]),
        "name": [sample["name"] for sample in samples],
    }


@contextmanager
def _seeded(*entropy: int) -> Iterator[None]:
    """Seed every generator that a reader or a transform may draw from, and put their states back afterwards.

    Only torch's CPU generator: ``torch.manual_seed`` would also seed the devices, whose states are not put back.
    """
    state = np.random.SeedSequence(entropy).generate_state(3)
    numpy_state, python_state = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(state[0]))
        np.random.seed(state[1])
        random.seed(int(state[2]))
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
