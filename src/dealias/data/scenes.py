# SPDX-License-Identifier: Apache-2.0
"""Synthetic scenes where sampling matters: thin poles, small signs, and textures that only frequency tells apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from torchvision import tv_tensors

from ._painter import Painter
from ._style import CLASS_COLOURS, CLASSES, THINGS, SceneStyle
from .sample import Palette, Sample

_SMALLEST = 32


class SceneObject(NamedTuple):
    """One visible thing or region of a scene.

    Attributes:
        id: its value in the instance map.
        label: its class id.
        width_px: what its sampling depends on, in pixels: width of a pole or of a fence's bars, period of stripes,
            side of a checker's square, diameter of a sign or blob.
        box: (left, top, right, bottom) of its visible pixels, right and bottom exclusive.
    """

    id: int
    label: int
    width_px: float
    box: tuple[int, int, int, int]


class Segment(TypedDict):
    """One entry of COCO's ``segments_info``, and whether it is a thing."""

    id: int
    category_id: int
    area: int
    bbox: list[int]
    iscrowd: int
    isthing: bool


@dataclass(frozen=True)
class Scene:
    """One scene with all its labels.

    Attributes:
        image: uint8, [H, W, 3].
        labels: class ids, uint8, [H, W]; ignored pixels have ``ignore_index``.
        instances: int32, [H, W]: an id for each thing and each textured region; 0: background or ignored.
        objects: what is visible, in the order of ids.
    """

    image: np.ndarray
    labels: np.ndarray
    instances: np.ndarray
    objects: tuple[SceneObject, ...]

    def panoptic(self) -> tuple[np.ndarray, list[Segment]]:
        """Panoptic labels as in COCO: each thing a segment, all pixels of a stuff class one segment.

        Returns:
            Segment ids, int32 [H, W], 0 where ignored; and one entry per segment, ``bbox`` being [left, top, width,
            height] and ``category_id`` the class id.
        """
        is_thing = np.zeros(256, bool)
        is_thing[[CLASSES.index(name) for name in THINGS]] = True
        first_stuff = int(self.instances.max()) + 1
        ids = np.where(is_thing[self.labels], self.instances, first_stuff + self.labels.astype(np.int32))
        ids[self.labels == SyntheticScenes.ignore_index] = 0
        segments: list[Segment] = []
        boxes = _boxes(ids)
        present, first, areas = np.unique(ids, return_index=True, return_counts=True)
        for segment, pixel, area in zip(present.tolist(), first, areas.tolist(), strict=True):
            if segment:
                label = int(self.labels.flat[pixel])
                left, top, right, bottom = boxes[segment].tolist()
                segments.append(
                    {
                        "id": segment,
                        "category_id": label,
                        "area": area,
                        "bbox": [left, top, right - left, bottom - top],
                        "iscrowd": 0,
                        "isthing": bool(is_thing[label]),
                    }
                )
        return ids, segments


class SyntheticScenes:
    """Procedural scenes with semantic, instance and panoptic labels.

    On a plain ground lie regions of stripes (coarse, medium, fine) and checker, whose mean colour is random so that
    only spatial frequency tells them apart; before them balls, fences, poles of 1 to 4 pixels in any direction,
    wires, and small signs. Light falls off over the picture and noise is added. A scene depends on (seed, index,
    size, style) only.

    Args:
        length: number of scenes.
        size: (height, width), at least 32 each.
        seed: not negative; data sets of different seeds share no scene.
        style: what scenes contain, see :class:`SceneStyle`.

    Raises:
        ValueError: ``length`` or ``seed`` is negative, or ``size`` too small.

    >>> scenes = SyntheticScenes(2, size=(64, 96))
    >>> scenes[1]["image"].shape, scenes[1]["mask"].shape
    (torch.Size([3, 64, 96]), torch.Size([64, 96]))
    """

    classes: tuple[str, ...] = CLASSES
    palette: Palette = tuple(CLASS_COLOURS.values())
    ignore_index: int = 255

    def __init__(
        self, length: int, size: tuple[int, int] = (128, 128), seed: int = 0, style: SceneStyle | None = None
    ) -> None:
        if length < 0 or seed < 0:
            raise ValueError(f"length and seed must not be negative, got {length} and {seed}")
        if min(size) < _SMALLEST:
            raise ValueError(f"size must be at least {_SMALLEST}x{_SMALLEST}, got {tuple(size)}")
        self.length, self.size, self.seed = length, (int(size[0]), int(size[1])), seed
        self.style = style or SceneStyle()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        painter, image = self._paint(index)
        return {
            "image": tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1).contiguous()),
            "mask": tv_tensors.Mask(torch.from_numpy(painter.canvas.labels)),
            "name": f"scene_{self.seed}_{index:06d}",
        }

    def scene(self, index: int) -> Scene:
        """The scene of ``self[index]`` with instances and objects."""
        painter, image = self._paint(index)
        instances = painter.canvas.instances
        boxes = _boxes(instances)
        visible = np.unique(instances)
        objects = tuple(_object(i, painter.objects[i - 1], boxes[i]) for i in visible[visible > 0].tolist())
        return Scene(image, painter.canvas.labels, instances, objects)

    def _paint(self, index: int) -> tuple[Painter, np.ndarray]:
        if not 0 <= index < self.length:
            raise IndexError(f"scene {index} of {self.length}")
        painter = Painter(np.random.default_rng([self.seed, index]), self.size, self.style)
        image = painter.paint()
        if self.style.ignore_border:
            border = _class_border(painter.canvas.labels, self.style.ignore_border)
            painter.canvas.labels[border] = self.ignore_index
            painter.canvas.instances[border] = 0
        return painter, image


def _object(instance: int, painted: tuple[int, float], box: np.ndarray) -> SceneObject:
    left, top, right, bottom = box.tolist()
    return SceneObject(instance, *painted, (left, top, right, bottom))


def _boxes(ids: np.ndarray) -> np.ndarray:
    """Boxes of ids 0..max in a map [H, W]: (left, top, right, bottom), right and bottom exclusive; [max + 1, 4]."""
    height, width = ids.shape
    in_rows = np.zeros((int(ids.max()) + 1, height), bool)
    in_columns = np.zeros((len(in_rows), width), bool)
    in_rows[ids, np.arange(height)[:, None]] = True
    in_columns[ids, np.arange(width)[None, :]] = True
    ends = [(seen.argmax(1), seen.shape[1] - seen[:, ::-1].argmax(1)) for seen in (in_columns, in_rows)]
    (left, right), (top, bottom) = ends
    return np.stack([left, top, right, bottom], axis=1)


def _class_border(labels: np.ndarray, width: int) -> np.ndarray:
    """Pixels within ``width`` steps (up, down, left, right) of another class."""
    border = np.zeros(labels.shape, bool)
    _spread(border, labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1])
    for _ in range(width - 1):
        inner = border.copy()
        _spread(border, inner[1:] | inner[:-1], inner[:, 1:] | inner[:, :-1])
    return border


def _spread(border: np.ndarray, between_rows: np.ndarray, between_columns: np.ndarray) -> None:
    """Mark both neighbours of every marked gap."""
    border[1:] |= between_rows
    border[:-1] |= between_rows
    border[:, 1:] |= between_columns
    border[:, :-1] |= between_columns
