# SPDX-License-Identifier: Apache-2.0
"""Loaders of built data sets of any kind, the same whatever the model, and resumable within an epoch."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lightning import LightningDataModule
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from dealias.data import EpochSampler, SeededSamples
from dealias.train.loader import ResumableLoader, loading_options

Transform = Callable[[Any], Any]
"""Of a sample."""


@dataclass(frozen=True)
class Loading:
    """How samples become batches.

    Args:
        batch_size: training samples per batch and process.
        eval_batch_size: other samples per batch and process.
        workers: processes that read and augment, per loader; 0 reads in the main process.
        seed: of order and augmentation.
    """

    batch_size: int
    eval_batch_size: int
    workers: int
    seed: int


class PairedData(LightningDataModule):
    """Loaders of built data sets, whose order and augmentation depend on (seed, epoch, index) alone.

    Neither the number of workers nor the model changes what a batch holds, and a resumed run continues within an epoch.
    The samples are shared out to the processes here, each once: trainers need ``use_distributed_sampler=False``.

    Args:
        datasets: ``train``, ``val``, ``test`` and ``predict``, None where there is none; they have ``classes``.
        train_transform: of training samples.
        eval_transform: of all other samples.
        collate: from samples to a batch.
        loading: sizes of batches, workers, seed.
    """

    allow_zero_length_dataloader_with_multiple_devices = True

    def __init__(
        self,
        datasets: Mapping[str, Any],
        train_transform: Transform,
        eval_transform: Transform,
        collate: Callable[[Any], Any],
        loading: Loading,
    ) -> None:
        super().__init__()
        self.train_transform, self.eval_transform = train_transform, eval_transform
        self.datasets = datasets
        self.batch_size, self.eval_batch_size = loading.batch_size, loading.eval_batch_size
        self.workers, self.seed = loading.workers, loading.seed
        self._collate = collate
        self._train_loader: ResumableLoader | None = None
        self._progress: dict[str, int] = {}
        self._check_classes()

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What a network needs to know about the data it was trained on, in plain Python values; has ``classes``."""

    def train_dataloader(self) -> ResumableLoader:
        """Shuffled, augmented batches; the last, smaller one of an epoch is left out."""
        dataset = SeededSamples(self._dataset("train"), self.train_transform, self.seed)
        sampler = self._sampler(dataset, train=True)
        self._train_loader = ResumableLoader(dataset, sampler, self.batch_size, self.workers, self._collate)
        self._train_loader.load_state_dict(self._progress)
        return self._train_loader

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """The validation set in order; nothing if there is none."""
        return [] if self.datasets["val"] is None else self._in_order("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """The test set in order."""
        return self._in_order("test")

    def predict_dataloader(self) -> DataLoader[Any]:
        """The set to predict, in order."""
        return self._in_order("predict")

    def state_dict(self) -> dict[str, Any]:
        """Stored with checkpoints: :meth:`describe`, and how far the training is in its epoch."""
        # Lightning stores the state of loaders too, but does not restore it if it had to ask for their length first.
        progress = {} if self._train_loader is None else self._train_loader.state_dict()
        return {**self.describe(), "progress": progress}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where a run was, on the classes it had.

        Raises:
            ValueError: the classes differ.
        """
        found = self.describe()["classes"]
        if found != state_dict["classes"]:
            raise ValueError(f"the checkpoint was trained on the classes {state_dict['classes']}, the data has {found}")
        self._progress = state_dict["progress"]

    def _any_dataset(self) -> Any:
        known = [dataset for dataset in self.datasets.values() if dataset is not None]
        if not known:
            raise ValueError("no data set is given, one of train, val, test and predict is needed")
        return known[0]

    def _check_classes(self) -> None:
        given = {name: dataset for name, dataset in self.datasets.items() if dataset is not None}
        classes = {name: tuple(dataset.classes) for name, dataset in given.items()}
        if len(set(classes.values())) > 1:
            raise ValueError(f"the data sets must have the same classes, got {classes}")

    def _dataset(self, name: str) -> Any:
        dataset = self.datasets[name]
        if dataset is None:
            raise ValueError(f"no data set to {name}: data.{name} is not given")
        return dataset

    def _sampler(self, dataset: SeededSamples, train: bool) -> EpochSampler:
        rank, processes = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if len(dataset) < processes:  # those without an image would not join in what all have to do together
            raise ValueError(f"{len(dataset)} images cannot be shared out to {processes} processes")
        return EpochSampler(len(dataset), self.seed, train, rank, processes, drop_uneven=train)

    def _in_order(self, name: str) -> DataLoader[Any]:
        dataset = SeededSamples(self._dataset(name), self.eval_transform, self.seed)
        sampler = self._sampler(dataset, train=False)
        options = loading_options(self.workers, self._collate)
        # All by keyword: Lightning makes the loader anew when it predicts.
        return DataLoader(dataset, batch_size=self.eval_batch_size, sampler=sampler, **options)


def normalisation_of(transform: Any) -> dict[str, list[float] | None]:
    """``mean`` and ``std`` of the normalisation within a transform; None if it has none."""
    steps = transform.transforms if isinstance(transform, v2.Compose) else [transform]
    for step in steps:
        if isinstance(step, v2.Normalize):
            return {"mean": [float(value) for value in step.mean], "std": [float(value) for value in step.std]}
    return {"mean": None, "std": None}
