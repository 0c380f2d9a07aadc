# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from dealias.data import SceneStyle, SyntheticScenes

CLASSES = SyntheticScenes.classes
THINGS = {CLASSES.index(name) for name in ("blob", "fence", "pole", "sign")}


@pytest.fixture(params=["plain", "wide", "ignored borders"])
def scene(request):
    style = SceneStyle(ignore_border=1 if request.param == "ignored borders" else 0)
    size = (70, 200) if request.param == "wide" else (128, 128)
    return SyntheticScenes(3, size=size, seed=11, style=style).scene(2)


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_objects_describe_the_instance_map(scene):
    assert [thing.id for thing in scene.objects] == [i for i in np.unique(scene.instances) if i]
    for thing in scene.objects:
        mask = scene.instances == thing.id
        assert set(scene.labels[mask]) == {thing.label}
        assert thing.box == box_of(mask)
        assert thing.width_px > 0
    nothing = scene.instances == 0
    assert set(np.unique(scene.labels[nothing])) <= {0, 255} and 0 not in scene.labels[~nothing]


def test_panoptic_segments_partition_the_image(scene):
    ids, segments = scene.panoptic()
    assert ids.shape == scene.labels.shape
    assert {segment["id"] for segment in segments} == set(np.unique(ids)) - {0}
    assert np.array_equal(ids == 0, scene.labels == 255)
    for segment in segments:
        mask = ids == segment["id"]
        left, top, right, bottom = box_of(mask)
        assert set(scene.labels[mask]) == {segment["category_id"]}
        assert segment["area"] == mask.sum()
        assert segment["bbox"] == [left, top, right - left, bottom - top]
        assert segment["isthing"] == (segment["category_id"] in THINGS)
        assert segment["iscrowd"] == 0
    assert sum(segment["area"] for segment in segments) == (scene.labels != 255).sum()


def test_things_are_segments_each_and_stuff_one_per_class(scene):
    ids, segments = scene.panoptic()
    stuff = [segment["category_id"] for segment in segments if not segment["isthing"]]
    assert len(stuff) == len(set(stuff)) and 0 in stuff
    things = [thing for thing in scene.objects if thing.label in THINGS]
    assert len(things) == sum(segment["isthing"] for segment in segments) > 4
    for thing in things:
        assert len(np.unique(ids[scene.instances == thing.id])) == 1


def test_panoptic_is_plain_python(scene):
    for segment in scene.panoptic()[1]:
        assert all(type(value) in (int, bool, list) for value in segment.values())
        assert all(type(value) is int for value in segment["bbox"])


@pytest.mark.parametrize("width", [1, 3])
def test_ignored_border_has_its_width(width):
    plain = SyntheticScenes(1, size=(48, 48), seed=2).scene(0)
    scene = SyntheticScenes(1, size=(48, 48), seed=2, style=SceneStyle(ignore_border=width)).scene(0)
    assert np.array_equal(scene.image, plain.image)
    for row, column in np.ndindex(48, 48):
        near = [
            plain.labels[y, x]
            for y in range(max(0, row - width), min(48, row + width + 1))
            for x in range(max(0, column - width), min(48, column + width + 1))
            if abs(y - row) + abs(x - column) <= width
        ]
        expected = 255 if len(set(near)) > 1 else plain.labels[row, column]
        assert scene.labels[row, column] == expected
        assert scene.instances[row, column] == (0 if expected == 255 else plain.instances[row, column])
