# SPDX-License-Identifier: Apache-2.0
"""The data that the runs of a comparison share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torchvision.transforms import v2

from dealias._documents import read_yaml
from dealias.data import (
    ADE20K,
    VOC2012,
    CamVid,
    Cityscapes,
    Sample,
    SegmentationDataset,
    SegmentationFolders,
    SyntheticScenes,
    evaluation_transform,
    training_transform,
)

SCENES = (768, 320)
"""Scenes to train on and to validate on, unless others are asked for."""

TRAIN_SEED, VAL_SEED = 0, 1

Opener = Callable[[str], tuple[SegmentationDataset, SegmentationDataset]]
"""From what follows the colon of a specification to the training and the validation set."""

_LARGEST_CROP = 512
_SMALLEST_BAND = 3
_PUBLISHED_BAND_SHARE = 15 / 1024


class InMemory:
    """A data set whose samples are read once, all at the start."""

    def __init__(self, dataset: SegmentationDataset) -> None:
        self.classes, self.palette, self.ignore_index = dataset.classes, dataset.palette, dataset.ignore_index
        self._samples = [dataset[index] for index in range(len(dataset))]

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index].copy()


@dataclass(frozen=True)
class CompareData:
    """What to train and validate on, and what follows from it.

    Attributes:
        train: training samples.
        val: validation samples.
        train_transform: augmentation and normalisation of a training sample.
        eval_batch_size: 1 where images may differ in size.
        band: default width of the boundary band in pixels.
    """

    train: SegmentationDataset
    val: SegmentationDataset
    train_transform: v2.Transform
    eval_batch_size: int
    band: int


@lru_cache(maxsize=1)
def open_data(spec: str, crop: int | None = None) -> CompareData:
    """Open the data that ``spec`` names; a second call with the same arguments gives the same objects.

    Args:
        spec: ``scenes`` (synthetic, 768 to train and 320 to validate), ``scenes:64/16`` (other numbers),
            ``camvid:ROOT``, ``cityscapes:ROOT``, ``ade20k:ROOT``, ``voc:ROOT`` (trained on ``train``), ``vocaug:ROOT``
            (trained on ``train_aug``), or ``folders:FILE.yaml``, a file with ``train`` and ``val`` (each ``images`` and
            ``labels``, paths relative to the file), ``classes`` and any further argument of
            :class:`dealias.data.SegmentationFolders`.
        crop: side of the training crops in pixels. ``None``: scenes are trained on whole, others on the largest
            multiple of 32 that fits into the first image, at most 512.

    Raises:
        ValueError: ``spec`` names no data; or as the data sets.
    """
    train, val = _open(spec)
    synthetic = isinstance(train, SyntheticScenes)
    if synthetic:
        train, val = InMemory(train), InMemory(val)
    side = min(val[0]["mask"].shape)
    if synthetic and crop is None:
        transform: v2.Transform = v2.Compose(
            [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip(), evaluation_transform()]
        )
    else:
        transform = training_transform(crop or default_crop(train), ignore_index=train.ignore_index)
    return CompareData(train, val, transform, eval_batch_size=16 if synthetic else 1, band=default_band(side))


def open_validation(spec: str) -> SegmentationDataset:
    """The validation set that ``spec`` names, as for :func:`open_data`; samples are read when they are asked for."""
    return _open(spec)[1]


def default_band(side: int) -> int:
    """Width of the boundary band for images of this smaller side: 15 px at 1024, in proportion, odd, at least 3.

    >>> default_band(1024), default_band(360), default_band(128)
    (15, 5, 3)
    """
    return max(_SMALLEST_BAND, 2 * round((side * _PUBLISHED_BAND_SHARE - 1) / 2) + 1)


def default_crop(dataset: SegmentationDataset) -> int:
    """The largest multiple of 32 pixels that fits into the first image, at most 512, at least 32."""
    return max(32, min(_LARGEST_CROP, min(dataset[0]["mask"].shape) // 32 * 32))


def _open(spec: str) -> tuple[SegmentationDataset, SegmentationDataset]:
    kind, _, where = spec.partition(":")
    if kind not in _OPENERS:
        roots = ", ".join(f"{name}:ROOT" for name in _OPENERS if name not in ("scenes", "folders"))
        raise ValueError(f"unknown data {spec!r}; known: scenes[:TRAIN/VAL], {roots}, folders:FILE.yaml")
    return _OPENERS[kind](where)


def _open_scenes(numbers: str) -> tuple[SegmentationDataset, SegmentationDataset]:
    try:
        train, val = (int(number) for number in numbers.split("/")) if numbers else SCENES
    except ValueError:
        raise ValueError(f"numbers of scenes must be TRAIN/VAL, as in scenes:64/16, got {numbers!r}") from None
    return SyntheticScenes(train, seed=TRAIN_SEED), SyntheticScenes(val, seed=VAL_SEED)


def _open_folders(file: str) -> tuple[SegmentationDataset, SegmentationDataset]:
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"{file}: no such file; folders:FILE.yaml names the folders of a data set")
    content = read_yaml(path)
    needed = ("train", "val", "classes")
    missing = [key for key in needed if not isinstance(content, dict) or key not in content]
    if missing:
        raise ValueError(f"{file}: lacks {', '.join(missing)}")
    common = {key: value for key, value in content.items() if key not in ("train", "val")}
    return _open_split(path, content["train"], common), _open_split(path, content["val"], common)


def _open_split(file: Path, split: dict[str, str], common: dict[str, Any]) -> SegmentationDataset:
    try:
        folders = {key: file.parent / value for key, value in split.items()}
        return SegmentationFolders(**{**common, **folders})
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # by unexpected values
        raise ValueError(f"{file}: {error}") from error


def _splits(dataset: Callable[[str, str], SegmentationDataset], train: str, val: str) -> Opener:
    return lambda root: (dataset(root, train), dataset(root, val))


_OPENERS: dict[str, Opener] = {
    "scenes": _open_scenes,
    "camvid": _splits(CamVid, "train", "val"),
    "cityscapes": _splits(Cityscapes, "train", "val"),
    "ade20k": _splits(ADE20K, "training", "validation"),
    "voc": _splits(VOC2012, "train", "val"),
    "vocaug": _splits(VOC2012, "train_aug", "val"),
    "folders": _open_folders,
}
