# SPDX-License-Identifier: Apache-2.0
"""Known data sets: their classes, the ids that their label maps may hold beside them, and where their files are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dealias.data import ade20k, camvid, cityscapes, voc2012
from dealias.data.layout import Layout

from .dataset_folders import DatasetFolders

SplitLayouts = Callable[[Path, str], Sequence[Layout]]
"""The parts of a split below a root; raises ValueError if the data set is not there."""


@dataclass(frozen=True)
class Preset:
    """A data set.

    Attributes:
        classes: name of each class id.
        ignored: ids that are no class but allowed.
        layouts: where the files of its splits are; ``None``: in ``images`` and ``labels``, as of any data set.
        splits: to look for; of those in one group the first that is there, so that no image comes twice.
    """

    classes: tuple[str, ...]
    ignored: tuple[int, ...] = (255,)
    layouts: SplitLayouts | None = None
    splits: tuple[tuple[str, ...], ...] = ()

    def find(self, root: Path) -> list[DatasetFolders]:
        """All parts of the data set that are below a root; none without layouts of its own.

        Raises:
            ValueError: there are none; the message tells what was looked for.
        """
        if self.layouts is None:
            return []
        self.layouts(root, self.splits[0][-1])  # raises what was looked for
        found = [part for group in self.splits for part in _first(root, group, self.layouts)]
        if not found:
            raise ValueError(
                f"{root}: none of the splits {', '.join(split for group in self.splits for split in group)}"
            )
        return found


def _first(root: Path, group: Sequence[str], layouts: SplitLayouts) -> list[DatasetFolders]:
    """The parts of the first split that has folders; which of them are missing is found when they are read."""
    for split in group:
        with suppress(ValueError):
            parts = layouts(root, split)
            if any(folder.is_dir() for part in parts for folder in (part.images, part.labels)):
                return [_folders(part, split) for part in parts]
    return []


def _folders(layout: Layout, split: str) -> DatasetFolders:
    return DatasetFolders(layout.images, layout.labels, *layout.suffixes, layout.list_file, layout.label_map, split)


def _single(layout: Callable[[Path, str], Layout]) -> SplitLayouts:
    return lambda root, split: [layout(root, split)]


PRESETS = {
    "camvid": Preset(tuple(camvid.CLASSES), (camvid.VOID, 255)),
    "cityscapes": Preset(
        tuple(cityscapes.CLASSES),
        layouts=_single(cityscapes.cityscapes_layout),
        splits=(("train",), ("val",), ("test",)),
    ),
    "ade20k": Preset(
        tuple(ade20k.CLASSES), layouts=_single(ade20k.ade20k_layout), splits=(("training",), ("validation",))
    ),
    "voc2012": Preset(
        tuple(voc2012.CLASSES), layouts=voc2012.voc2012_layouts, splits=(("train_aug", "train"), ("val",))
    ),
}
"""Every known data set by name."""


def recognise(root: Path) -> str | None:
    """Name of the known data set whose own layout is found below a root; ``None`` if there is none."""
    for name, preset in PRESETS.items():
        with suppress(ValueError):
            if preset.find(root):
                return name
    return None
