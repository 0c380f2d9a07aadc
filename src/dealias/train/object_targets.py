# SPDX-License-Identifier: Apache-2.0
"""Between data sets of objects and networks: the one place where class ids become categories, and targets are made.

Data sets number their classes from 0, things and stuff in any order. Networks number things from 1 and stuff behind
them; 0 is background, or void. In a batch, and in all that a run says of classes, things come first: the category of
the class at position p is p + 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dealias.data import ObjectSample, collate_objects
from dealias.metrics import PanopticMap, panoptic_map

Target = Mapping[str, Any]


@dataclass(frozen=True)
class Categories:
    """The order of the classes in which things come first, and batches whose labels are categories of a network.

    Args:
        is_thing: of the data set's classes, by class id.

    >>> categories = Categories((False, True, False, True))
    >>> categories.order, categories.of_labels(torch.tensor([0, 1, 3]))
    ((1, 3, 0, 2), tensor([3, 1, 2]))
    """

    is_thing: tuple[bool, ...]

    @property
    def order(self) -> tuple[int, ...]:
        """Class ids of the data set by position: things, then stuff, each in their order."""
        return tuple(sorted(range(len(self.is_thing)), key=lambda label: not self.is_thing[label]))

    def of_labels(self, labels: Tensor) -> Tensor:
        """Categories of class ids, the same shape."""
        return torch.tensor(self.order).argsort()[labels] + 1

    def collate(self, samples: Sequence[ObjectSample]) -> dict[str, list[Any]]:
        """A batch as of :func:`dealias.data.collate_objects`, of plain tensors, the labels being categories."""
        batch = collate_objects(samples)
        batch["image"] = [image.as_subclass(Tensor) for image in batch["image"]]
        batch["target"] = [self._converted(target) for target in batch["target"]]
        return batch

    def _converted(self, target: Target) -> dict[str, Any]:
        plain = {
            key: value.as_subclass(Tensor) if isinstance(value, Tensor) else value for key, value in target.items()
        }
        return {**plain, "labels": self.of_labels(plain["labels"])}


def training_target(target: Target, things: int, stuff: int) -> dict[str, Tensor]:
    """What a network learns from the objects of an image: things, and with stuff the category of every pixel.

    Args:
        target: of a batch, ``labels`` being categories.
        things: number of thing categories.
        stuff: number of stuff categories; 0 for a network that is not panoptic.

    Returns:
        ``boxes`` [N, 4], ``labels`` [N] and ``masks`` [N, H, W] of the things that are no crowd regions; with stuff
        also ``semantic`` [H, W], int64, in which crowd regions and what belongs to no segment are 0, void.
    """
    single = target["iscrowd"] == 0
    is_thing = single & (target["labels"] <= things)
    found = {name: target[name][is_thing] for name in ("boxes", "labels", "masks")}
    if stuff:
        semantic = torch.zeros(target["masks"].shape[1:], dtype=torch.int64, device=single.device)
        for mask, category in zip(target["masks"][single], target["labels"][single].tolist(), strict=True):
            semantic.masked_fill_(mask != 0, category)
        found["semantic"] = semantic
    return found


def true_objects(target: Target, things: int) -> dict[str, Any]:
    """The things of an image, crowd regions included, for :class:`dealias.metrics.CocoAP`, whose labels are from 0."""
    is_thing = target["labels"] <= things
    names = ("boxes", "labels", "masks", "area", "iscrowd")
    found = {name: target[name][is_thing] for name in names}
    return {**found, "labels": found["labels"] - 1, "image_id": target["image_id"]}


def true_panoptic(target: Target) -> PanopticMap:
    """All segments of an image, crowd regions included, as one panoptic map of categories."""
    return panoptic_map(target["masks"], target["labels"], target["iscrowd"], target["area"])
