# SPDX-License-Identifier: Apache-2.0
"""Where the files of a published data set are: looked for below a root, with errors that name every place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The files of a split and the meaning of their ids, as arguments of :class:`dealias.data.SegmentationFolders`.

    Attributes:
        images: folder of images.
        labels: folder of label maps.
        list_file: names of the split; ``None``: all files.
        suffixes: what names of images and of label maps have before the ending.
        label_map: id in the files to class id or 255; ``None``: they are class ids.
    """

    images: Path
    labels: Path
    list_file: Path | None = None
    suffixes: tuple[str, str] = ("", "")
    label_map: Mapping[int, int] | None = None


def find_root(root: str | Path, needed: Sequence[str], below: Sequence[str]) -> Path:
    """The folder that has all ``needed`` sub-folders: ``root``, or the first of ``below`` in it.

    Raises:
        ValueError: none has them; all places are named.
    """
    places = [Path(root), *(Path(root) / name for name in below)]
    for place in places:
        if all((place / name).is_dir() for name in needed):
            return place
    wanted = " and ".join(f"{name}/" for name in needed)
    raise ValueError(f"no {wanted} in {' or '.join(map(str, places))}")


def check_split(name: str, split: str, known: Sequence[str]) -> None:
    """Refuse a split that the data set called ``name`` does not have.

    Raises:
        ValueError: the known ones are listed.
    """
    if split not in known:
        raise ValueError(f"unknown {name} split {split!r}; known: {', '.join(known)}")
