# SPDX-License-Identifier: Apache-2.0
"""Boxes and masks move with their image; objects that are cut away, and crowds, are left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from dealias.data import (
    SceneStyle,
    SeededSamples,
    SyntheticObjects,
    SyntheticScenes,
    VisibleObjects,
    boxes_of_masks,
    collate_objects,
    large_scale_jitter_transform,
    object_evaluation_transform,
    object_training_transform,
)
from dealias.data.objects import object_target

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
LABELS = (5, 6, 7)


def square_sample(squares, size=(60, 90), crowd=()):
    """White squares (top, left, side) on black, each an object."""
    masks = torch.zeros(len(squares), *size, dtype=torch.uint8)
    for mask, (top, left, side) in zip(masks, squares, strict=True):
        mask[top : top + side, left : left + side] = 1
    picture = (masks.amax(0) if len(squares) else torch.zeros(size, dtype=torch.uint8)) * 255
    flags = [int(i in crowd) for i in range(len(squares))]
    target = object_target(masks, LABELS[: len(squares)], boxes_of_masks(masks), masks.sum((1, 2)), flags, 3)
    return {"image": tv_tensors.Image(picture.expand(3, -1, -1)), "target": target, "name": "squares"}


@pytest.fixture
def squares():
    return [square_sample([(4, 6, 20), (30, 40, 24), (10, 70, 12)])]


def check_aligned(sample, tolerance):
    """Masks lie on the white of the image, and boxes around masks."""
    target = sample["target"]
    white = sample["image"].as_subclass(torch.Tensor)[0] > 0.5
    union = target["masks"].as_subclass(torch.Tensor).amax(0) > 0
    assert (white != union).float().mean() < tolerance
    assert torch.equal(target["boxes"].as_subclass(torch.Tensor), boxes_of_masks(target["masks"]))
    counts = {len(target[name]) for name in ("boxes", "masks", "labels", "area", "iscrowd")}
    assert len(counts) == 1


def test_short_side_and_flip(squares):
    dataset = SeededSamples(squares, object_training_transform((30, 45, 120), 150, **PLAIN), seed=0)
    sizes, positions = set(), set()
    for epoch in range(12):
        sample = dataset[(0, epoch)]
        assert sample["target"]["labels"].tolist() == list(LABELS) and sample["target"]["masks"].dtype == torch.uint8
        check_aligned(sample, tolerance=0.03)
        sizes.add(tuple(sample["image"].shape[1:]))
        positions.add(bool(sample["target"]["boxes"][0, 0] < sample["image"].shape[2] / 2))
    assert sizes == {(30, 45), (45, 68), (100, 150)}, "the longer side is at most 150"
    assert positions == {True, False}
    again = SeededSamples(squares, object_training_transform((30, 45, 120), 150, **PLAIN), seed=0)[(0, 3)]
    assert torch.equal(again["image"], dataset[(0, 3)]["image"])
    assert torch.equal(again["target"]["boxes"], dataset[(0, 3)]["target"]["boxes"])


def test_large_scale_jitter_crops_pads_and_drops(squares):
    dataset = SeededSamples(squares, large_scale_jitter_transform((48, 64), (0.3, 3.0), **PLAIN), seed=1)
    kept = set()
    for epoch in range(15):
        sample = dataset[(0, epoch)]
        assert sample["image"].shape == (3, 48, 64) and sample["target"]["masks"].shape[1:] == (48, 64)
        assert sample["target"]["boxes"].canvas_size == (48, 64)
        if len(sample["target"]["labels"]):
            check_aligned(sample, tolerance=0.06)
            assert sample["target"]["masks"].flatten(1).any(1).all()
        kept.add(tuple(sample["target"]["labels"].tolist()))
    assert LABELS in kept and any(len(labels) < 3 for labels in kept)


def test_evaluation_resizes_the_image_alone(squares):
    sample = object_evaluation_transform(30, 50, **PLAIN)(squares[0])
    assert sample["image"].shape == (3, 30, 45) and sample["image"].dtype == torch.float32
    assert sample["target"]["masks"].shape == (3, 60, 90)
    assert torch.equal(sample["target"]["boxes"], squares[0]["target"]["boxes"])
    assert object_evaluation_transform(None)(squares[0])["image"].shape == (3, 60, 90)
    normalised = object_evaluation_transform(None, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))(squares[0])
    assert set(normalised["image"].unique().tolist()) == {-2.0, 2.0}


def test_networks_normalise_and_resize_unless_told_otherwise(squares):
    for transform in (object_training_transform(flip=0), object_evaluation_transform()):
        image = transform(squares[0])["image"]
        assert image.dtype == torch.float32 and torch.equal((image * 255).to(torch.uint8), squares[0]["image"])
    padded = large_scale_jitter_transform((40, 60), (0.2, 0.2))(squares[0])["image"]
    corners = [padded[:, y, x].tolist() for y in (0, -1) for x in (0, -1)]
    assert pytest.approx([0.485, 0.456, 0.406]) in corners, "black would not be 0 behind the network's normalisation"


def test_empty_and_crowd_objects_are_dropped():
    sample = square_sample([(4, 6, 20), (30, 40, 1), (10, 70, 0)], crowd=(0,))
    found = VisibleObjects()(sample)["target"]
    assert found["labels"].tolist() == [6] and found["boxes"].tolist() == [[40, 30, 41, 31]], "a mask of one pixel"
    assert found["area"].tolist() == [1] and found["iscrowd"].tolist() == [0] and found["image_id"] == 3
    assert VisibleObjects(drop_crowd=False)(sample)["target"]["labels"].tolist() == [5, 6]


@pytest.mark.parametrize("make", [object_training_transform, large_scale_jitter_transform, object_evaluation_transform])
def test_images_without_objects(make):
    sample = make()(square_sample([], size=(40, 50)))
    assert sample["target"]["masks"].shape[0] == 0 and sample["target"]["boxes"].shape == (0, 4)
    batch = collate_objects([sample, sample])
    assert len(batch["image"]) == len(batch["target"]) == 2 and batch["name"] == ["squares", "squares"]


def test_refused_options():
    for make, options, message in (
        (object_training_transform, {"short_sides": ()}, "short_sides must be 1 to max_size"),
        (object_training_transform, {"short_sides": (800,), "max_size": 700}, "short_sides must be 1 to max_size"),
        (object_evaluation_transform, {"mean": (0, 0, 0), "std": (1, 1, 0)}, "std positive"),
        (object_training_transform, {"mean": (0.5, 0.5, 0.5)}, "or be None both"),
        (large_scale_jitter_transform, {"scale": (2, 1)}, "scale must be"),
    ):
        with pytest.raises(ValueError, match=message):
            make(**options)


@pytest.mark.parametrize("panoptic", [False, True])
def test_objects_of_synthetic_scenes(panoptic):
    style = SceneStyle(ignore_border=1)
    dataset = SyntheticObjects(3, (64, 80), seed=4, style=style, panoptic=panoptic)
    scenes = SyntheticScenes(3, (64, 80), seed=4, style=style)
    assert len(dataset) == 3 and len(dataset.palette) == len(dataset.classes) == len(dataset.is_thing)
    for i in range(3):
        sample, scene = dataset[i], scenes.scene(i)
        assert torch.equal(sample["image"], scenes[i]["image"]) and sample["name"] == scenes[i]["name"]
        target = sample["target"]
        masks = target["masks"].numpy().astype(bool)
        assert masks.sum(0).max() == 1, "objects do not overlap"
        for mask, label, box in zip(masks, target["labels"], target["boxes"], strict=True):
            name = dataset.classes[int(label)]
            assert set(scene.labels[mask].tolist()) == {scenes.classes.index(name)}
            rows, columns = np.nonzero(mask)
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        things = np.isin(scene.labels, [scenes.classes.index(n) for n in ("blob", "fence", "pole", "sign")])
        covered = masks.any(0)
        assert np.array_equal(covered, scene.labels != 255 if panoptic else things)
        visible = {o.id for o in scene.objects if scenes.classes[o.label] in ("blob", "fence", "pole", "sign")}
        assert sum(dataset.is_thing[int(label)] for label in target["labels"]) == len(visible)
