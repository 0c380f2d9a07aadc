# SPDX-License-Identifier: Apache-2.0
"""Synthetic scenes as data of objects: their things as instances, or all of their segments."""

from __future__ import annotations

import torch
from torchvision import tv_tensors

from ._style import CLASS_COLOURS, CLASSES, THINGS, SceneStyle
from .objects import ObjectSample, object_target
from .scenes import SyntheticScenes


class SyntheticObjects:
    """Objects of :class:`SyntheticScenes`: the visible pixels of its balls, fences, poles, wires and signs.

    Args:
        length: number of scenes.
        size: (height, width), at least 32 each.
        seed: not negative; data sets of different seeds share no scene.
        style: what scenes contain.
        panoptic: give the segments of stuff too, one per class, and label by the class ids of the scenes; otherwise
            things alone, by their position among the things.

    Attributes:
        classes: names of the classes.
        palette: their colours.
        is_thing: which classes are counted in instances.
        category_ids: of the classes, from 1.
        scenes: the scenes, for their other labels.

    Raises:
        ValueError: as :class:`SyntheticScenes`.

    >>> sample = SyntheticObjects(1, size=(48, 64))[0]
    >>> sample["target"]["masks"].shape[1:], sample["target"]["boxes"].shape[1:]
    (torch.Size([48, 64]), torch.Size([4]))
    """

    def __init__(
        self,
        length: int,
        size: tuple[int, int] = (128, 128),
        seed: int = 0,
        style: SceneStyle | None = None,
        panoptic: bool = False,
    ) -> None:
        self.scenes = SyntheticScenes(length, size, seed, style)
        self.classes = CLASSES if panoptic else THINGS
        self.palette = tuple(CLASS_COLOURS[name] for name in self.classes)
        self.is_thing = tuple(name in THINGS for name in self.classes)
        self.category_ids = tuple(range(1, len(self.classes) + 1))

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> ObjectSample:
        scene = self.scenes.scene(index)
        ids, segments = scene.panoptic()
        labels = {CLASSES.index(name): label for label, name in enumerate(self.classes)}
        kept = [segment for segment in segments if segment["category_id"] in labels]
        numbers = torch.tensor([segment["id"] for segment in kept], dtype=torch.int32)
        boxes = [[left, top, left + width, top + height] for left, top, width, height in (s["bbox"] for s in kept)]
        target = object_target(
            (torch.from_numpy(ids) == numbers[:, None, None]).to(torch.uint8),
            [labels[segment["category_id"]] for segment in kept],
            boxes,
            [segment["area"] for segment in kept],
            [segment["iscrowd"] for segment in kept],
            index,
        )
        image = tv_tensors.Image(torch.from_numpy(scene.image).permute(2, 0, 1).contiguous())
        return {"image": image, "target": target, "name": f"scene_{self.scenes.seed}_{index:06d}"}
