# SPDX-License-Identifier: Apache-2.0
"""Classified images in folders, one per class, as torchvision's ``ImageFolder`` finds them."""

from __future__ import annotations

from pathlib import Path

from torchvision import tv_tensors
from torchvision.datasets.folder import find_classes, make_dataset

from .classified import ClassifiedSample
from .images import IMAGE_SUFFIXES, read_image


class ClassFolders:
    """Images in one folder per class; the names of the folders are those of the classes, in alphabetical order.

    Which files belong to it is up to torchvision's ``ImageFolder``; they are read as RGB by
    :func:`dealias.data.read_image`. A sample's name is its path below ``root``.

    Args:
        root: folder of the classes' folders, which may have sub-folders.

    Attributes:
        files: path and class id of each sample, sorted by class and path.

    Raises:
        ValueError: naming the folder: it is missing, has no folder in it, or a class is without images. On access: a
            file that cannot be read, which is named.
    """

    def __init__(self, root: str | Path) -> None:
        root = Path(root)
        if not root.is_dir():
            raise ValueError(f"{root}: no such folder")
        try:
            names, ids = find_classes(str(root))
            files = make_dataset(str(root), ids, extensions=IMAGE_SUFFIXES, allow_empty=True)
        except FileNotFoundError as error:
            raise ValueError(f"{root}: expected one folder of images per class, found no folder") from error
        empty = sorted(set(names) - {names[label] for _, label in files})
        if empty:
            endings = ", ".join(IMAGE_SUFFIXES)
            raise ValueError(f"{root}: classes without images ({endings}): {', '.join(empty)}")
        self.root = root
        self.classes: tuple[str, ...] = tuple(names)
        self.files = [(Path(path), label) for path, label in files]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> ClassifiedSample:
        path, label = self.files[index]
        image = tv_tensors.Image(read_image(path))
        return {"image": image, "label": label, "name": path.relative_to(self.root).as_posix()}
