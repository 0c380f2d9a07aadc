# SPDX-License-Identifier: Apache-2.0
"""Segmentation data in two folders, images and label maps, paired by their relative names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from torch import Tensor
from torchvision import tv_tensors

from .colours import check_palette, default_palette
from .images import IMAGE_SUFFIXES, LABEL_SUFFIXES, read_image, read_labels
from .label_ids import LabelIds, shortened
from .sample import Palette, Sample


class SegmentationFolders:
    """Images and label maps of class ids, in two folders that may have sub-folders.

    An image and its labels share their key: the path relative to their folder, without ending and without the suffix in
    ``suffixes``. The key is the sample's name, and samples are in the order of their keys, or of the list file. Files
    of other types and hidden files are passed over. Pixel grids are as stored, see :mod:`dealias.data.images`.

    A split is either a folder of its own (pass ``images/train`` and ``labels/train``) or a list file.

    Args:
        images: folder of PNG, JPEG, WebP or TIFF images.
        labels: folder of PNG or TIFF label maps: one channel of class ids, of any bit depth, or a palette.
        classes: name of each class id, from 0.
        palette: one (red, green, blue) of 0 to 255 per class; ``None``: generated.
        ignore_index: id in the samples' masks of pixels that count nowhere, in the files allowed as well.
        ignore_labels: further ids in the files that become ``ignore_index``.
        list_file: text file with one key or relative image path per line; ``None``: all files.
        suffixes: what image and label names have between key and ending, as ``("_leftImg8bit",
            "_gtFine_labelTrainIds")``; files without it are passed over.
        label_map: id in the files to class id or ``ignore_index``, of all ids that they may have beside the ignored
            ones; ``None``: files hold class ids.

    Attributes:
        names: keys of the samples.
        files: image and label file of each sample.

    Raises:
        ValueError: naming the files: a missing folder or list, an empty split, images without labels or labels without
            image, two files for one key, listed samples that do not exist; or a bad palette, or ``ignore_index`` that
            is a class. On access: a file that cannot be read, sizes that differ, or ids that are neither class nor
            ignored.
    """

    def __init__(
        self,
        images: str | Path,
        labels: str | Path,
        classes: Sequence[str],
        palette: Sequence[Sequence[int]] | None = None,
        ignore_index: int = 255,
        ignore_labels: Sequence[int] = (),
        list_file: str | Path | None = None,
        suffixes: tuple[str, str] = ("", ""),
        label_map: Mapping[int, int] | None = None,
    ) -> None:
        if not classes:
            raise ValueError("classes must name at least one class")
        if 0 <= ignore_index < len(classes):
            raise ValueError(f"ignore_index {ignore_index} is the id of class {classes[ignore_index]!r}")
        self.classes = tuple(classes)
        self.palette: Palette = (
            check_palette(palette, classes) if palette is not None else default_palette(len(classes))
        )
        self.ignore_index = ignore_index
        self.ignore_labels = tuple(ignore_labels)
        self._ids = LabelIds(len(classes), ignore_index, (*ignore_labels, ignore_index), label_map)

        image_files = _files_by_key(Path(images), IMAGE_SUFFIXES, suffixes[0])
        label_files = _files_by_key(Path(labels), LABEL_SUFFIXES, suffixes[1])
        if list_file is None:
            self.names = sorted(image_files)
        else:
            self.names = _listed_keys(Path(list_file), suffixes[0])
            _refuse(set(self.names) - image_files.keys(), f"samples of {list_file} without an image in {images}")
        if not self.names:
            raise ValueError(f"{list_file or images}: empty split, found no images ({', '.join(IMAGE_SUFFIXES)})")
        maps = f"label map{f' *{suffixes[1]}' if suffixes[1] else ''}"
        _refuse(set(self.names) - label_files.keys(), f"images in {images} without a {maps} in {labels}")
        if list_file is None:
            _refuse(label_files.keys() - image_files.keys(), f"label maps in {labels} without an image in {images}")
        self.files = [(image_files[name], label_files[name]) for name in self.names]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        image_file, label_file = self.files[index]
        image, labels = read_image(image_file), read_labels(label_file)
        if image.shape[1:] != labels.shape:
            swapped = " (EXIF orientation is not applied)" if image.shape[1:] == labels.T.shape else ""
            raise ValueError(
                f"{label_file}: size {_size(labels)} differs from {_size(image)} of its image {image_file}{swapped}"
            )
        mask = tv_tensors.Mask(self._ids(labels, label_file))
        return {"image": tv_tensors.Image(image), "mask": mask, "name": self.names[index]}


def _files_by_key(folder: Path, endings: Sequence[str], suffix: str) -> dict[str, Path]:
    """All files of a folder by key; see :class:`SegmentationFolders`."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        if hidden or path.suffix.lower() not in endings or not path.stem.endswith(suffix) or not path.is_file():
            continue
        key = relative.with_suffix("").as_posix().removesuffix(suffix)
        if key in files:
            raise ValueError(f"{files[key]} and {path} have the same name {key!r}: keep one")
        files[key] = path
    return files


def _listed_keys(list_file: Path, suffix: str) -> list[str]:
    """Keys of a list file, in its order."""
    try:
        lines = list_file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{list_file}: cannot be read as a list of names: {error}") from error
    paths = [PurePosixPath(line.strip()) for line in lines if line.strip()]
    stems = [path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path for path in paths]
    keys = [stem.as_posix().removesuffix(suffix) for stem in stems]
    _refuse((key for key, count in Counter(keys).items() if count > 1), f"names that {list_file} has more than once")
    return keys


def _refuse(names: Iterable[str], what: str) -> None:
    """Raise if there are such names, with their number and the first few."""
    found = sorted(names)
    if found:
        raise ValueError(f"{len(found)} {what}: {shortened(found)}")


def _size(tensor: Tensor) -> str:
    height, width = tensor.shape[-2:]
    return f"{width}x{height}"
