# SPDX-License-Identifier: Apache-2.0
"""Data sets, transforms and loaders of a run on objects."""

from typing import Any

from torchvision.transforms import v2

from dealias.data import ObjectDataset, object_evaluation_transform, object_training_transform
from dealias.train.base_data import Loading, PairedData, normalisation_of
from dealias.train.object_targets import Categories


class ObjectsData(PairedData):
    """Loaders of built data sets, whose order and augmentation depend on (seed, epoch, index) alone.

    Networks resize and normalise images themselves. What is evaluated keeps its size, so that boxes and masks are in
    the pixels of the annotations.

    Args:
        train: data set to train on, for example dealias.data.CocoInstances, or dealias.data.CocoPanoptic for a panoptic
            network.
        val: data set to validate on.
        test: data set to test on.
        predict: data set to predict.
        train_transform: augmentation of training samples, see dealias.data.object_training_transform; null for that,
            which flips.
        eval_transform: of all other samples, see dealias.data.object_evaluation_transform; null for that.
        batch_size: training samples per batch and process.
        eval_batch_size: other samples per batch and process.
        workers: processes that read and augment, per loader; 0 reads in the main process.
        seed: of order and augmentation.

    Raises:
        ValueError: the data sets have different classes.
    """

    def __init__(
        self,
        train: ObjectDataset | None = None,
        val: ObjectDataset | None = None,
        test: ObjectDataset | None = None,
        predict: ObjectDataset | None = None,
        train_transform: v2.Transform | None = None,
        eval_transform: v2.Transform | None = None,
        batch_size: int = 2,
        eval_batch_size: int = 1,
        workers: int = 2,
        seed: int = 0,
    ) -> None:
        datasets = {"train": train, "val": val, "test": test, "predict": predict}
        self.categories = Categories(_is_thing(datasets))
        super().__init__(
            datasets,
            train_transform or object_training_transform(),
            eval_transform or object_evaluation_transform(),
            self.categories.collate,
            Loading(batch_size, eval_batch_size, workers, seed),
        )

    def describe(self) -> dict[str, Any]:
        """What a network needs to know about the data it was trained on, in plain Python values, things first.

        Returns:
            ``classes``, ``palette``, ``is_thing`` and ``category_ids`` of the data sets, and ``mean`` and ``std`` of a
            normalisation in the evaluation transform (None as usual, when the network does it).
        """
        known: ObjectDataset = self._any_dataset()
        order = self.categories.order
        return {
            "classes": [known.classes[label] for label in order],
            "palette": [list(known.palette[label]) for label in order],
            "is_thing": [known.is_thing[label] for label in order],
            "category_ids": [known.category_ids[label] for label in order],
            **normalisation_of(self.eval_transform),
        }


def _is_thing(datasets: dict[str, ObjectDataset | None]) -> tuple[bool, ...]:
    given = {name: tuple(dataset.is_thing) for name, dataset in datasets.items() if dataset is not None}
    if len(set(given.values())) > 1:
        raise ValueError(f"the data sets must have the same things, got is_thing of {given}")
    return next(iter(given.values()), ())
