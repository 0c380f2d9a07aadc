# SPDX-License-Identifier: Apache-2.0
"""Where a data set's images and label maps are, and which belong together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dealias.data.images import IMAGE_SUFFIXES, LABEL_SUFFIXES

from .pairs import FileSet, Pair, pair_files
from .problems import Problem

LAYOUTS = (("images", "labels"), ("images", "annotations"))
"""Folders of images and label maps that are looked for below a data set's root."""


@dataclass(frozen=True)
class DatasetFolders:
    """Where a data set's files are; they are paired as those of :class:`dealias.data.SegmentationFolders`.

    Attributes:
        images: folder of images, with any sub-folders.
        labels: folder of label maps.
        image_suffix: what names of images have before the ending; others are passed over.
        label_suffix: likewise for label maps.
        list_file: text file with one name or relative image path per line; ``None``: all files.
        label_map: id in the label maps to class id or 255, of all ids that they may have beside ignored ones; ``None``:
            they are class ids.
        split: of a data set in several parts; names of pairs start with it.
    """

    images: Path
    labels: Path
    image_suffix: str = ""
    label_suffix: str = ""
    list_file: Path | None = None
    label_map: Mapping[int, int] | None = None
    split: str = ""

    def pairs(self) -> tuple[list[Pair], list[Problem]]:
        """Pairs of image and label map, and what has no counterpart or comes twice.

        Raises:
            ValueError: a folder or the list is missing or empty, or nothing pairs.
        """
        images = FileSet.of(self.images, "image", IMAGE_SUFFIXES, self.image_suffix)
        labels = FileSet.of(self.labels, "label map", LABEL_SUFFIXES, self.label_suffix)
        if self.list_file is None:
            pairs, problems = pair_files(images, labels)
        else:
            pairs, problems = self._listed(self.list_file, images, labels)
        return [pair._replace(name=f"{self.split}/{pair.name}") for pair in pairs] if self.split else pairs, problems

    def _listed(self, list_file: Path, images: FileSet, labels: FileSet) -> tuple[list[Pair], list[Problem]]:
        names = listed_names(list_file, self.image_suffix)
        pairs, problems = pair_files(images.only(names), labels.only(names))
        for name, count in Counter(names).items():
            if count > 1:
                problems.append(Problem(str(list_file), f"{name!r} is listed {count} times"))
            if name not in images.files and name not in labels.files:
                problems.append(Problem(str(list_file), f"{name!r} is listed: {images.lacks(name)}"))
        return pairs, problems


def find_folders(root: Path, images: Path | None = None, labels: Path | None = None) -> tuple[Path, Path]:
    """Folders of images and label maps: those given, below the root or else as they are, or those of a known layout.

    Raises:
        ValueError: one is given without the other, or no layout is known.
    """
    if images is not None and labels is not None:
        return below(root, images), below(root, labels)
    if images is not None or labels is not None:
        raise ValueError("the folders of images and of labels must be given together")
    for layout in LAYOUTS:
        if all((root / name).is_dir() for name in layout):
            return root / layout[0], root / layout[1]
    looked_for = " or ".join(" and ".join(f"{name}/" for name in layout) for layout in LAYOUTS)
    raise ValueError(f"{root}: no {looked_for} in it; give the folders of images and of labels")


def below(root: Path, path: Path) -> Path:
    """``path`` below ``root`` if there is such a file or folder, otherwise ``path`` itself."""
    return root / path if (root / path).exists() else path


def listed_names(file: Path, suffix: str) -> list[str]:
    """Names of samples in a list file, which may have the images' endings and suffix.

    Raises:
        ValueError: it cannot be read, or is empty.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: cannot be read as a list of names: {error}") from error
    paths = [PurePosixPath(line.strip()) for line in lines if line.strip()]
    if not paths:
        raise ValueError(f"{file}: no names in it")
    stems = [path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path for path in paths]
    return [stem.as_posix().removesuffix(suffix) for stem in stems]
