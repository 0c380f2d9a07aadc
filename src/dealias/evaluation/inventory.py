# SPDX-License-Identifier: Apache-2.0
"""Read a data set of images and label maps once: what is in it, and which files are bad."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from PIL import Image
from torch import Tensor

from dealias.data.images import read_image, read_labels

from .dataset_folders import DatasetFolders
from .ids import id_counts, unknown_ids
from .pairs import Pair, size_text
from .pool import run_chunks
from .problems import Problem, read_or_report


@dataclass
class Contents:
    """What readable files hold, as counts that add up.

    Attributes:
        sizes: images of each size, as ``480x360`` (width x height).
        image_modes: images of each Pillow mode, as stored.
        label_modes: label maps likewise.
        pixels: label pixels of each id.
        files: label maps in which each id occurs.
        examples: the first label map in which each id occurs.
        problems: files that cannot be used.
    """

    sizes: Counter[str] = field(default_factory=Counter)
    image_modes: Counter[str] = field(default_factory=Counter)
    label_modes: Counter[str] = field(default_factory=Counter)
    pixels: Counter[int] = field(default_factory=Counter)
    files: Counter[int] = field(default_factory=Counter)
    examples: dict[int, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add(self, other: Contents) -> None:
        """Add the contents of files that come later."""
        for own, new in (
            (self.sizes, other.sizes),
            (self.image_modes, other.image_modes),
            (self.label_modes, other.label_modes),
        ):
            own.update(new)
        self.pixels.update(other.pixels)
        self.files.update(other.files)
        self.examples = {**other.examples, **self.examples}
        self.problems += other.problems


@dataclass(frozen=True)
class Inventory:
    """A data set's contents.

    Attributes:
        folders: where it is.
        classes: name of each class id.
        ignored: ids that are no class but allowed.
        names: of all pairs.
        contents: of all pairs.
        problems: all bad files.
    """

    folders: DatasetFolders
    classes: tuple[str, ...]
    ignored: tuple[int, ...]
    names: tuple[str, ...]
    contents: Contents
    problems: list[Problem]

    @property
    def bad_files(self) -> int:
        """Number of files with problems."""
        return len({problem.file for problem in self.problems})

    @property
    def unknown_ids(self) -> list[int]:
        """Ids that are neither a class nor ignored."""
        known = {*range(len(self.classes)), *self.ignored}
        return sorted(self.contents.pixels.keys() - known)

    @property
    def splits(self) -> Counter[str]:
        """Number of pairs in each sub-folder directly below; ``.`` for those in none."""
        return Counter(name.partition("/")[0] if "/" in name else "." for name in self.names)

    @property
    def repeated_stems(self) -> dict[str, list[str]]:
        """File names that are in several sub-folders, and these: usual for sequences, a leak between splits."""
        parents: dict[str, list[str]] = defaultdict(list)
        for name in map(PurePosixPath, self.names):
            parents[name.name].append(name.parent.as_posix())
        return {stem: found for stem, found in sorted(parents.items()) if len(found) > 1}


def check_dataset(
    folders: DatasetFolders,
    classes: tuple[str, ...],
    ignored: tuple[int, ...] = (255,),
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Inventory:
    """Read every image and label map.

    Args:
        folders: where they are.
        classes: name of each class id, from 0.
        ignored: further ids that label maps may hold.
        workers: number of processes; ``None``: one per core.
        on_progress: called with the number of pairs that are done and of all.

    Raises:
        ValueError: a folder is missing or empty, or nothing pairs.
        ChildProcessError: a worker was killed.
    """
    pairs, problems = folders.pairs()
    total = Contents()
    done = 0

    def add(contents: Contents, length: int) -> None:
        nonlocal done
        total.add(contents)
        done += length
        if on_progress is not None:
            on_progress(done, len(pairs))

    run_chunks(partial(read_contents, len(classes), ignored), pairs, workers, add)
    names = tuple(pair.name for pair in pairs)
    return Inventory(folders, classes, ignored, names, total, problems + total.problems)


def read_contents(num_classes: int, ignored: tuple[int, ...], pairs: Sequence[Pair]) -> Contents:
    """Read pairs of image and label map."""
    total = Contents()
    for pair in pairs:
        image = read_or_report(read_image, pair.first, total.problems)
        labels = read_or_report(read_labels, pair.second, total.problems)
        if image is not None:
            total.sizes[size_text(image.shape)] += 1
            total.image_modes[_stored_mode(pair.first)] += 1
        if labels is not None:
            _count_labels(labels, pair.second, num_classes, ignored, total)
        if image is not None and labels is not None and image.shape[1:] != labels.shape:
            swapped = " (EXIF orientation is not applied)" if image.shape[1:] == labels.T.shape else ""
            sizes = f"size {size_text(labels.shape)} differs from {size_text(image.shape)}"
            total.problems.append(Problem(str(pair.second), f"{sizes} of its image {pair.first}{swapped}"))
    return total


def _count_labels(labels: Tensor, file: Path, num_classes: int, ignored: tuple[int, ...], total: Contents) -> None:
    total.label_modes[_stored_mode(file)] += 1
    counts = id_counts(labels)
    total.pixels.update(counts)
    total.files.update(counts.keys())
    total.examples = {**dict.fromkeys(counts, str(file)), **total.examples}
    reason = unknown_ids(counts, num_classes, ignored)
    if reason:
        total.problems.append(Problem(str(file), reason))


def _stored_mode(file: Path) -> str:
    with Image.open(file) as image:
        return image.mode
