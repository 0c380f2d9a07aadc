# SPDX-License-Identifier: Apache-2.0
"""The images to analyse a network on: of a data set with labels, or image files without."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchvision import tv_tensors

from dealias.data.images import read_image
from dealias.data.sample import SegmentationDataset
from dealias.experiments.data import open_validation
from dealias.prediction.inputs import ImageFile, find_images
from dealias.report.choice import evenly_spaced


class ImageFiles:
    """Image files as a data set of ``image`` and ``name``, without labels.

    Args:
        files: images and what they are called.
    """

    def __init__(self, files: Sequence[ImageFile]) -> None:
        self.files = list(files)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        path, name = self.files[index]
        return {"image": tv_tensors.Image(read_image(path)), "name": name}


@dataclass(frozen=True)
class Images:
    """Some images of a data set.

    Attributes:
        source: what was asked for.
        dataset: all of them.
        indices: of those to analyse.
    """

    source: str
    dataset: SegmentationDataset | ImageFiles
    indices: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Any:
        """The sample at this position among those to analyse: uint8 ``image``, ``name``, and ``mask`` if labelled."""
        return self.dataset[self.indices[position]]

    @property
    def labelled(self) -> SegmentationDataset | None:
        """The data set, if it has labels."""
        return None if isinstance(self.dataset, ImageFiles) else self.dataset


def open_images(source: str, limit: int) -> Images:
    """Open images.

    Args:
        source: ``scenes`` or ``scenes:N`` (synthetic); another data set by name, of which the validation set is taken,
            see :func:`dealias.experiments.data.open_data`; or an image file, a folder or a pattern in quotes.
        limit: at most so many images, evenly spaced over all.

    Raises:
        ValueError: there are no such images, or ``limit`` is below 1.
    """
    if limit < 1:
        raise ValueError(f"at least one image is needed, got a limit of {limit}")
    dataset = _open(source)
    if not len(dataset):
        raise ValueError(f"{source}: no images there")
    return Images(source, dataset, tuple(evenly_spaced(len(dataset), limit)))


def _open(source: str) -> SegmentationDataset | ImageFiles:
    kind, _, where = source.partition(":")
    if kind == "scenes":
        return open_validation(f"scenes:1/{where}" if where.isdigit() else source)
    if not where or Path(source).exists() or glob.has_magic(source):
        return ImageFiles(find_images([source]).images)
    return open_validation(source)
