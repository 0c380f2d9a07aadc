# SPDX-License-Identifier: Apache-2.0
"""Read a data set of images and label maps once: what is in it, and which files are bad."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from torch import Tensor

from dealias.data.images import open_image, read_image, read_labels
from dealias.data.label_ids import LabelIds

from .dataset_folders import DatasetFolders
from .ids import id_counts
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
        pixels: label pixels of each class id.
        files: label maps in which each class id occurs.
        others: label pixels of each other id, as it is in the files.
        other_files: label maps in which each other id occurs.
        examples: the first label map in which each other id occurs.
        problems: files that cannot be used.
    """

    sizes: Counter[str] = field(default_factory=Counter)
    image_modes: Counter[str] = field(default_factory=Counter)
    label_modes: Counter[str] = field(default_factory=Counter)
    pixels: Counter[int] = field(default_factory=Counter)
    files: Counter[int] = field(default_factory=Counter)
    others: Counter[int] = field(default_factory=Counter)
    other_files: Counter[int] = field(default_factory=Counter)
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
        for own_ids, new_ids in (
            (self.pixels, other.pixels),
            (self.files, other.files),
            (self.others, other.others),
            (self.other_files, other.other_files),
        ):
            own_ids.update(new_ids)
        self.examples = {**other.examples, **self.examples}
        self.problems += other.problems


@dataclass(frozen=True)
class Inventory:
    """A data set's contents.

    Attributes:
        parts: where it is.
        classes: name of each class id.
        allowed: ids of no class that files may hold.
        names: of all pairs.
        contents: of all pairs.
        problems: all bad files.
    """

    parts: tuple[DatasetFolders, ...]
    classes: tuple[str, ...]
    allowed: frozenset[int]
    names: tuple[str, ...]
    contents: Contents
    problems: list[Problem]

    @property
    def bad_files(self) -> int:
        """Number of files with problems."""
        return len({problem.file for problem in self.problems})

    @property
    def unknown_ids(self) -> list[int]:
        """Ids in the files that are neither of a class nor ignored."""
        return sorted(self.contents.others.keys() - self.allowed)

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
    parts: Sequence[DatasetFolders],
    classes: tuple[str, ...],
    ignored: tuple[int, ...] = (255,),
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Inventory:
    """Read every image and label map.

    Args:
        parts: where they are.
        classes: name of each class id, from 0.
        ignored: further ids that label maps may hold.
        workers: number of processes; ``None``: one per core.
        on_progress: called with the number of pairs that are done and of all.

    Raises:
        ValueError: a folder is missing or empty, or nothing pairs.
        ChildProcessError: a worker was killed.
    """
    found = [part.pairs() for part in parts]
    names = tuple(pair.name for pairs, _ in found for pair in pairs)
    total, allowed = Contents(), set(ignored)
    done = 0

    def add(contents: Contents, length: int) -> None:
        nonlocal done
        total.add(contents)
        done += length
        if on_progress is not None:
            on_progress(done, len(names))

    for part, (pairs, problems) in zip(parts, found, strict=True):
        ids = _label_ids(len(classes), ignored, part)
        allowed |= {label for label, number in ids.table.items() if not 0 <= number < len(classes)}
        total.problems += problems
        run_chunks(partial(read_contents, len(classes), ids), pairs, workers, add)
    return Inventory(tuple(parts), classes, frozenset(allowed), names, total, total.problems)


def read_contents(num_classes: int, ids: LabelIds, pairs: Sequence[Pair]) -> Contents:
    """Read pairs of image and label map."""
    total = Contents()
    for pair in pairs:
        image = read_or_report(read_image, pair.first, total.problems)
        labels = read_or_report(read_labels, pair.second, total.problems)
        if image is not None:
            total.sizes[size_text(image.shape)] += 1
            total.image_modes[_stored_mode(pair.first)] += 1
        if labels is not None:
            _count_labels(labels, pair.second, num_classes, ids, total)
        if image is not None and labels is not None and image.shape[1:] != labels.shape:
            swapped = " (EXIF orientation is not applied)" if image.shape[1:] == labels.T.shape else ""
            sizes = f"size {size_text(labels.shape)} differs from {size_text(image.shape)}"
            total.problems.append(Problem(str(pair.second), f"{sizes} of its image {pair.first}{swapped}"))
    return total


def _label_ids(classes: int, ignored: tuple[int, ...], part: DatasetFolders) -> LabelIds:
    return LabelIds(classes, 255 if classes <= 255 else -1, ignored, part.label_map)


def _count_labels(labels: Tensor, file: Path, num_classes: int, ids: LabelIds, total: Contents) -> None:
    total.label_modes[_stored_mode(file)] += 1
    counts = id_counts(labels)
    classes, others = Counter[int](), Counter[int]()
    for label, count in counts.items():
        number = ids.table.get(label, -1)
        if 0 <= number < num_classes:
            classes[number] += count
        else:
            others[label] += count
    total.pixels.update(classes)
    total.files.update(classes.keys())
    total.others.update(others)
    total.other_files.update(others.keys())
    total.examples = {**dict.fromkeys(others, str(file)), **total.examples}
    complaint = ids.complaint(counts)
    if complaint:
        total.problems.append(Problem(str(file), complaint))


def _stored_mode(file: Path) -> str:
    with open_image(file) as image:
        return image.mode
