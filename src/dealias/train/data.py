# SPDX-License-Identifier: Apache-2.0
"""Data sets, transforms and loaders of a segmentation run."""

from typing import Any

from torchvision.transforms import v2

from dealias.data import SegmentationDataset, collate_samples, evaluation_transform
from dealias.train.base_data import Loading, PairedData, normalisation_of


class SegmentationData(PairedData):
    """Loaders of built data sets, whose order and augmentation depend on (seed, epoch, index) alone.

    Neither the number of workers nor the model changes what a batch holds, and a resumed run continues within an epoch.
    The samples are shared out to the processes here, each once: trainers need ``use_distributed_sampler=False``.

    Args:
        train: data set to train on.
        val: data set to validate on.
        test: data set to test on.
        predict: data set to predict.
        train_transform: augmentation of training samples, see dealias.data.training_transform; null for none.
        eval_transform: of all other samples, see dealias.data.evaluation_transform; null for ImageNet's normalisation.
        batch_size: training samples per batch and process.
        eval_batch_size: other samples per batch and process; images of different sizes need 1.
        workers: processes that read and augment, per loader; 0 reads in the main process.
        seed: of order and augmentation.
    """

    def __init__(
        self,
        train: SegmentationDataset | None = None,
        val: SegmentationDataset | None = None,
        test: SegmentationDataset | None = None,
        predict: SegmentationDataset | None = None,
        train_transform: v2.Transform | None = None,
        eval_transform: v2.Transform | None = None,
        batch_size: int = 8,
        eval_batch_size: int = 1,
        workers: int = 2,
        seed: int = 0,
    ) -> None:
        datasets = {"train": train, "val": val, "test": test, "predict": predict}
        evaluation = evaluation_transform() if eval_transform is None else eval_transform
        loading = Loading(batch_size, eval_batch_size, workers, seed)
        super().__init__(datasets, train_transform or evaluation, evaluation, collate_samples, loading)

    def describe(self) -> dict[str, Any]:
        """What a network needs to know about the data it was trained on, in plain Python values.

        Returns:
            ``classes``, ``palette``, ``ignore_index`` of the data sets, and ``mean`` and ``std`` of the normalisation
            (None if the evaluation transform has none).
        """
        known: SegmentationDataset = self._any_dataset()
        return {
            "classes": list(known.classes),
            "palette": [list(colour) for colour in known.palette],
            "ignore_index": known.ignore_index,
            **normalisation_of(self.eval_transform),
        }
