# SPDX-License-Identifier: Apache-2.0
"""The data that the runs of a comparison share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from torchvision.transforms import v2

from dealias.data import (
    CamVid,
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
            ``camvid:ROOT``, or ``folders:FILE.yaml``, a file with ``train`` and ``val`` (each ``images`` and
            ``labels``, paths relative to the file), ``classes`` and any further argument of
            :class:`dealias.data.SegmentationFolders`.
        crop: side of the training crops in pixels. ``None``: scenes are trained on whole, others on the largest
            multiple of 32 that fits into the first image, at most 512.

    Raises:
        ValueError: ``spec`` names no data; or as the data sets.
    """
    kind, _, where = spec.partition(":")
    if kind not in _OPENERS:
        raise ValueError(f"unknown data {spec!r}; known: scenes[:TRAIN/VAL], camvid:ROOT, folders:FILE.yaml")
    train, val = _OPENERS[kind](where)
    side = min(val[0]["mask"].shape)
    synthetic = kind == "scenes"
    if synthetic and crop is None:
        transform: v2.Transform = v2.Compose(
            [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip(), evaluation_transform()]
        )
    else:
        transform = training_transform(crop or default_crop(train), ignore_index=train.ignore_index)
    return CompareData(train, val, transform, eval_batch_size=16 if synthetic else 1, band=default_band(side))


def default_band(side: int) -> int:
    """Width of the boundary band for images of this smaller side: 15 px at 1024, in proportion, odd, at least 3.

    >>> default_band(1024), default_band(360), default_band(128)
    (15, 5, 3)
    """
    return max(_SMALLEST_BAND, 2 * round((side * _PUBLISHED_BAND_SHARE - 1) / 2) + 1)


def default_crop(dataset: SegmentationDataset) -> int:
    """The largest multiple of 32 pixels that fits into the first image, at most 512, at least 32."""
    return max(32, min(_LARGEST_CROP, min(dataset[0]["mask"].shape) // 32 * 32))


def _open_scenes(numbers: str) -> tuple[SegmentationDataset, SegmentationDataset]:
    try:
        train, val = (int(number) for number in numbers.split("/")) if numbers else SCENES
    except ValueError:
        raise ValueError(f"numbers of scenes must be TRAIN/VAL, as in scenes:64/16, got {numbers!r}") from None
    return InMemory(SyntheticScenes(train, seed=TRAIN_SEED)), InMemory(SyntheticScenes(val, seed=VAL_SEED))


def _open_camvid(root: str) -> tuple[SegmentationDataset, SegmentationDataset]:
    return CamVid(root, "train"), CamVid(root, "val")


def _open_folders(file: str) -> tuple[SegmentationDataset, SegmentationDataset]:
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"{file}: no such file; folders:FILE.yaml names the folders of a data set")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    needed = ("train", "val", "classes")
    missing = [key for key in needed if not isinstance(content, dict) or key not in content]
    if missing:
        raise ValueError(f"{file}: lacks {', '.join(missing)}")
    common = {key: value for key, value in content.items() if key not in ("train", "val")}
    return _open_split(path, content["train"], common), _open_split(path, content["val"], common)


def _open_split(file: Path, split: dict[str, str], common: dict[str, Any]) -> SegmentationDataset:
    folders = {key: file.parent / value for key, value in split.items()}
    try:
        return SegmentationFolders(**{**common, **folders})
    except TypeError as error:
        raise ValueError(f"{file}: {error}") from error


_OPENERS: dict[str, Callable[[str], tuple[SegmentationDataset, SegmentationDataset]]] = {
    "scenes": _open_scenes,
    "camvid": _open_camvid,
    "folders": _open_folders,
}
