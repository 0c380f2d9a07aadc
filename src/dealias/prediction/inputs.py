# SPDX-License-Identifier: Apache-2.0
"""Images named by files, folders and patterns, and what their outputs are called."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from dealias.data.images import IMAGE_SUFFIXES
from dealias.evaluation.problems import shortened


class ImageFile(NamedTuple):
    """An image, and its name: what its outputs are called, with ``/`` between sub-folders and without ending."""

    path: Path
    name: str


class Inputs(NamedTuple):
    """Images, and the folders that were searched with all their sub-folders."""

    images: list[ImageFile]
    searched: list[Path]


def find_images(sources: Sequence[str]) -> Inputs:
    """Find images.

    Args:
        sources: each a file, which is taken whatever its ending; or a folder, for the images in it and its sub-folders;
            or a pattern with ``*``, ``?``, ``[...]`` and, for any number of sub-folders, ``**``. In folders and for
            patterns, hidden files and those of other types are passed over, and folders behind links are not entered.

    Returns:
        The images in the order of the sources, and of their paths within each. The name of a file is its own; in
        folders it is the path below the folder, for patterns that below the part without wildcards.

    Raises:
        ValueError: naming the source: it does not exist or has no images; or naming the files: several have the same
            name.
        OSError: a folder cannot be read.
    """
    images: dict[tuple[str, Path], ImageFile] = {}
    searched = []
    for source in sources:
        path = Path(source)
        if path.is_dir():
            found, whole = _named(sorted(_files_below(path)), path), [path]
        elif path.is_file():
            found, whole = [ImageFile(path, path.stem)], []
        elif glob.has_magic(source):
            base = _fixed_part(path)
            found, whole = _named(map(Path, sorted(glob.glob(source, recursive=True))), base), [base]
            whole = whole if "**" in path.parts else []
        else:
            raise ValueError(f"{source}: no such file or folder")
        if not found:
            raise ValueError(f"{source}: no images there ({', '.join(IMAGE_SUFFIXES)})")
        images.update({(image.name, image.path.resolve()): image for image in found})
        searched += whole
    _refuse_same_names(images.values())
    return Inputs(list(images.values()), searched)


def _files_below(folder: Path) -> Iterator[Path]:
    """All files that are not hidden."""
    for parent, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in files if not name.startswith("."))


def _raise(error: OSError) -> NoReturn:
    raise error


def _named(paths: Iterable[Path], base: Path) -> list[ImageFile]:
    images = (path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    return [ImageFile(path, path.relative_to(base).with_suffix("").as_posix()) for path in images]


def _fixed_part(pattern: Path) -> Path:
    """The folders of a pattern before the first wildcard."""
    parts = pattern.parts
    return Path(*parts[: next(index for index, part in enumerate(parts) if glob.has_magic(part))])


def _refuse_same_names(images: Iterable[ImageFile]) -> None:
    first: dict[str, Path] = {}
    clashes = [f"{first[name]} and {path}" for path, name in images if first.setdefault(name, path) != path]
    if clashes:
        raise ValueError(
            f"{len(clashes)} pairs of images would have the same output: {shortened(clashes)}; predict them apart, or, "
            "if only their folders differ, give the folder above or a pattern in quotes"
        )
