# SPDX-License-Identifier: Apache-2.0
"""The data that the runs of a comparison of objects share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torchvision.transforms import v2

from dealias.data import (
    CocoInstances,
    CocoPanoptic,
    LowLight,
    ObjectDataset,
    ObjectSample,
    SeededSamples,
    SyntheticObjects,
    object_training_transform,
)

from .data import TRAIN_SEED, VAL_SEED

OBJECT_SCENES = (256, 96)
"""Scenes to train on and to validate on, unless others are asked for."""

SYNTHETIC = "objects"

_SPLITS = ("train2017", "val2017")


class WrappedObjects:
    """Another data set's samples, changed.

    Args:
        dataset: its attributes are this one's.
    """

    def __init__(self, dataset: ObjectDataset) -> None:
        self.classes, self.palette = dataset.classes, dataset.palette
        self.is_thing, self.category_ids = dataset.is_thing, dataset.category_ids
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)


class DarkObjects(WrappedObjects):
    """A data set as a camera takes it in low light, each image always in the same way.

    Args:
        dataset: in normal light.
        seed: of the light and its noise.
    """

    def __init__(self, dataset: ObjectDataset, seed: int) -> None:
        super().__init__(dataset)
        self._samples = SeededSamples(dataset, LowLight(), seed)

    def __getitem__(self, index: int) -> ObjectSample:
        sample: ObjectSample = self._samples[index]
        return sample


class HeldObjects(WrappedObjects):
    """A data set whose samples are read once, all at the start."""

    def __init__(self, dataset: ObjectDataset) -> None:
        super().__init__(dataset)
        self._samples = [dataset[index] for index in range(len(dataset))]

    def __getitem__(self, index: int) -> ObjectSample:
        sample = self._samples[index].copy()
        sample["target"] = sample["target"].copy()
        return sample


@dataclass(frozen=True)
class CompareObjects:
    """What to train and validate on, and what follows from it.

    Attributes:
        train: training samples.
        val: validation samples, dark if wanted.
        train_transform: augmentation of a training sample, which darkens if wanted.
        eval_batch_size: 1 where images may differ in size.
    """

    train: ObjectDataset
    val: ObjectDataset
    train_transform: v2.Transform
    eval_batch_size: int

    @property
    def counts(self) -> tuple[int, int]:
        """Number of things and of stuff categories."""
        things = sum(self.train.is_thing)
        return things, len(self.train.is_thing) - things


@lru_cache(maxsize=1)
def open_objects(spec: str, panoptic: bool, low_light: bool = False) -> CompareObjects:
    """Open the data that ``spec`` names; a second call with the same arguments gives the same objects.

    Args:
        spec: ``objects`` (synthetic, 256 scenes to train and 96 to validate), ``objects:64/16`` (other numbers), or
            ``coco:ROOT``, where ROOT has ``annotations`` and, in ``images`` or by itself, ``train2017`` and
            ``val2017``.
        panoptic: segments of things and stuff; otherwise instances alone.
        low_light: darken images, see :class:`dealias.data.LowLight`: those to train on anew each time, those to
            validate on always in the same way.

    Raises:
        ValueError: ``spec`` names no data; or as the data sets.
    """
    train, val = _open(spec, panoptic)
    if low_light:
        val = DarkObjects(val, VAL_SEED)
    synthetic = isinstance(train, SyntheticObjects)
    if synthetic:
        train, val = HeldObjects(train), HeldObjects(val)
    dark = [LowLight()] if low_light else []
    transform = v2.Compose([*dark, object_training_transform()])
    return CompareObjects(train, val, transform, eval_batch_size=8 if synthetic else 1)


def _open(spec: str, panoptic: bool) -> tuple[ObjectDataset, ObjectDataset]:
    kind, _, where = spec.partition(":")
    if kind == SYNTHETIC:
        train, val = _numbers(where)
        return (
            SyntheticObjects(train, seed=TRAIN_SEED, panoptic=panoptic),
            SyntheticObjects(val, seed=VAL_SEED, panoptic=panoptic),
        )
    if kind == "coco" and where:
        train_split, val_split = _SPLITS
        return _open_coco(Path(where), train_split, panoptic), _open_coco(Path(where), val_split, panoptic)
    raise ValueError(f"unknown data of objects {spec!r}; known: {SYNTHETIC}[:TRAIN/VAL], coco:ROOT")


def _numbers(text: str) -> tuple[int, int]:
    try:
        train, val = (int(number) for number in text.split("/")) if text else OBJECT_SCENES
    except ValueError:
        raise ValueError(f"numbers of scenes must be TRAIN/VAL, as in {SYNTHETIC}:64/16, got {text!r}") from None
    return train, val


def _open_coco(root: Path, split: str, panoptic: bool) -> ObjectDataset:
    images = root / "images" / split
    images = images if images.is_dir() else root / split
    if not images.is_dir():
        raise ValueError(f"{images}: no such folder, nor {root / 'images' / split}; one of them has the images")
    if panoptic:
        return CocoPanoptic(images, root / "annotations" / f"panoptic_{split}.json")
    return CocoInstances(images, root / "annotations" / f"instances_{split}.json")
