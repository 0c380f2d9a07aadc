# SPDX-License-Identifier: Apache-2.0
"""Instances in COCO's format: masks of all notations, contiguous classes, and errors that name file and id."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from torchvision import tv_tensors

from dealias.data import LIS, CocoInstances
from dealias.data.coco_masks import decode_segmentation, run_lengths

SIZE = (20, 30)


def disc(top, left, radius):
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return ((rows - top) ** 2 + (columns - left) ** 2 <= radius**2).astype(np.uint8)


def plain_counts(mask):
    """Lengths of runs down the columns, outside first."""
    values = np.concatenate([[0], mask.T.flatten(), [2]])
    ends = np.flatnonzero(np.diff(values))
    starts = np.concatenate([[0], ends[:-1]])
    return (ends - starts).tolist()


@pytest.fixture
def content():
    masks = {11: disc(8, 9, 5), 12: disc(15, 25, 8), 13: disc(0, 0, 0)}
    compressed = coco_mask.encode(np.asfortranarray(masks[11]))["counts"].decode()
    return {
        "images": [{"id": i, "file_name": f"part/{i}.png", "height": SIZE[0], "width": SIZE[1]} for i in (7, 5, 6)],
        "categories": [{"id": i, "name": f"kind {i}"} for i in (90, 3, 17)],
        "annotations": [
            {
                "id": 11,
                "image_id": 5,
                "category_id": 90,
                "bbox": [4, 3, 11, 11],
                "segmentation": {"size": list(SIZE), "counts": compressed},
            },
            {
                "id": 12,
                "image_id": 5,
                "category_id": 3,
                "bbox": [17.5, 7, 12.25, 13],
                "area": 111.5,
                "iscrowd": 1,
                "segmentation": {"size": list(SIZE), "counts": plain_counts(masks[12])},
            },
            {
                "id": 13,
                "image_id": 7,
                "category_id": 17,
                "bbox": [2, 3, 5, 4],
                "segmentation": [[2, 3, 7, 3, 7, 7, 2, 7], [20, 10, 25, 10, 25, 15, 20, 15]],
            },
            {"id": 14, "image_id": 7, "category_id": 17, "bbox": [1, 1, 3, 2]},
        ],
    }, masks


@pytest.fixture
def write(tmp_path, save):
    """Write an annotation file and images, all of one size; their paths."""

    def build(content, missing=()):
        for image in content["images"]:
            if image["id"] not in missing:
                save(tmp_path / "images" / image["file_name"], np.full((*SIZE, 3), image["id"], np.uint8))
        path = tmp_path / "instances.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path / "images", path

    return build


def test_boxes_masks_and_labels(content, write):
    content, masks = content
    dataset = CocoInstances(*write(content))
    assert dataset.classes == ("kind 3", "kind 17", "kind 90") and dataset.category_ids == (3, 17, 90)
    assert dataset.image_ids == [7, 5, 6] and dataset.is_thing == (True, True, True) and len(dataset.palette) == 3
    sample = dataset[1]
    target = sample["target"]
    assert sample["name"] == "part/5" and sample["image"].unique().tolist() == [5]
    assert isinstance(sample["image"], tv_tensors.Image) and isinstance(target["masks"], tv_tensors.Mask)
    assert isinstance(target["boxes"], tv_tensors.BoundingBoxes) and target["boxes"].canvas_size == SIZE
    assert target["boxes"].tolist() == [[4, 3, 15, 14], [17.5, 7, 29.75, 20]]
    assert target["labels"].tolist() == [2, 0] and target["image_id"] == 5
    assert target["masks"].dtype == torch.uint8
    assert np.array_equal(target["masks"].numpy(), np.stack([masks[11], masks[12]]))
    assert target["area"].tolist() == [masks[11].sum(), 111.5], "of the file, or else of the mask"
    assert target["iscrowd"].tolist() == [0, 1]


def test_polygons_and_boxes_without_segmentation(content, write):
    target = CocoInstances(*write(content[0]))[0]["target"]
    expected = np.zeros(SIZE, np.uint8)
    expected[3:7, 2:7] = expected[10:15, 20:25] = 1
    assert np.array_equal(target["masks"][0].numpy(), expected)
    expected[:] = 0
    expected[1:3, 1:4] = 1
    assert np.array_equal(target["masks"][1].numpy(), expected)


def test_images_without_objects_are_kept_or_dropped(content, write):
    files = write(content[0])
    empty = CocoInstances(*files)[2]["target"]
    assert empty["masks"].shape == (0, *SIZE) and empty["boxes"].shape == (0, 4)
    assert empty["labels"].shape == empty["area"].shape == empty["iscrowd"].shape == (0,)
    assert CocoInstances(*files, keep_empty=False).image_ids == [7, 5]
    content[0]["annotations"] = []
    with pytest.raises(ValueError, match=r"instances\.json: no images with objects"):
        CocoInstances(*write(content[0]), keep_empty=False)


def test_run_lengths_equal_those_of_pycocotools():
    rng = np.random.default_rng(0)
    for share in (0.0, 0.02, 0.5, 1.0):
        for _ in range(5):
            mask = (rng.random(SIZE) < share).astype(np.uint8)
            code = coco_mask.encode(np.asfortranarray(mask))
            assert run_lengths(code["counts"]) == plain_counts(mask) or not mask.any()
            assert np.array_equal(decode_segmentation(code, SIZE).numpy(), mask)


CHANGES = {
    "unknown image": (lambda c: c["annotations"][0].update(image_id=99), "annotations of unknown images: id 99"),
    "unknown category": (lambda c: c["annotations"][0].update(category_id=4), "unknown categories: id 4"),
    "image twice": (lambda c: c["images"].append(c["images"][0]), "images that come twice: id 7"),
    "category twice": (lambda c: c["categories"].append(c["categories"][2]), "categories that come twice: id 17"),
    "no box": (lambda c: c["annotations"][1].pop("bbox"), "annotations, id 12: needs image_id, id, category_id, bbox"),
    "no list": (lambda c: c.pop("annotations"), "expected a list of annotations"),
    "above the folder": (lambda c: c["images"][0].update(file_name="../7.png"), "stay within their folder, found"),
    "absolute": (lambda c: c["images"][0].update(file_name="/tmp/7.png"), "must be relative"),
    "no size": (lambda c: c["images"][2].pop("width"), "images, id 6: needs id, file_name, height, width"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_bad_files_are_refused_by_name_and_id(content, write, change):
    broken = copy.deepcopy(content[0])
    edit, message = CHANGES[change]
    edit(broken)
    with pytest.raises(ValueError, match=rf"instances\.json: .*{message}"):
        CocoInstances(*write(broken))


def test_what_is_no_json(write, content, tmp_path):
    images, path = write(content[0])
    for text in ("", '{"images": [', "[1, 2]"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"instances\.json: (cannot be read as JSON|expected an object)"):
            CocoInstances(images, path)
    with pytest.raises(ValueError, match=r"none\.json: cannot be read as JSON"):
        CocoInstances(images, tmp_path / "none.json")


SEGMENTATIONS = {
    "of another size": ({"size": [30, 20], "counts": [600]}, r"size \[30, 20\] differs from \[20, 30\]"),
    "too short": ({"size": [20, 30], "counts": [5, 5]}, "sum to 600, found 10"),
    "too short as text": ({"size": [20, 30], "counts": "23"}, "sum to 600, found 5"),
    "cut within a number": ({"size": [20, 30], "counts": "2o"}, "end within a number"),
    "without counts": ({"size": [20, 30]}, "counts"),
    "a line": ([[1, 2, 3, 4]], "at least three x, y"),
    "text": ("mask", "at least three x, y"),
    "nothing": (None, "at least three x, y"),
}


@pytest.mark.parametrize("kind", SEGMENTATIONS)
def test_bad_segmentations_are_refused_by_id(content, write, kind):
    content[0]["annotations"][1]["segmentation"], message = SEGMENTATIONS[kind]
    dataset = CocoInstances(*write(content[0]))
    where = r"instances\.json: annotation 12 of image 5: invalid segmentation: "
    with pytest.raises(ValueError, match=f"{where}.*{message}"):
        dataset[1]


@pytest.mark.parametrize("box", [[1, 2, 3], [1, 2, -1, 3], [0, 0, float("nan"), 1], "box"])
def test_bad_boxes_are_refused_by_id(content, write, box):
    content[0]["annotations"][1]["bbox"] = box
    with pytest.raises(ValueError, match=r"annotation 12: expected \[left, top, width, height\] as bbox"):
        CocoInstances(*write(content[0]))[1]


def test_missing_images_and_other_sizes(content, write):
    dataset = CocoInstances(*write(content[0], missing=(5,)))
    with pytest.raises(ValueError, match=r"5\.png: cannot be read"):
        dataset[1]
    content[0]["images"][0]["height"] = 21
    with pytest.raises(ValueError, match=r"7\.png: size 30x20 differs from 30x21 in .*instances\.json"):
        CocoInstances(*write(content[0]))[0]


def test_lis_names_and_lights(content, tmp_path, save):
    def numbered(numbers, ending):
        entries = copy.deepcopy(content[0])
        for number, image in zip(numbers, entries["images"], strict=True):
            image["file_name"] = f"./JPEGImages/{number}.{ending}"
        return json.dumps(entries)

    root = tmp_path / "LIS"
    (root / "annotations").mkdir(parents=True)
    (root / "annotations" / "lis_coco_png_train.json").write_text(numbered((1, 3, 5), "png"))
    (root / "annotations" / "lis_coco_JPG_train+1.json").write_text(numbered((2, 4, 6), "png"))
    for number in range(1, 7):
        folder, ending = ("RGB-dark", "JPG") if number % 2 == 0 else ("RGB-normal", "png")
        options = {"format": "JPEG"} if ending == "JPG" else {}
        save(root / folder / "JPEGImages" / f"{number}.{ending}", np.full((*SIZE, 3), 9 * number, np.uint8), **options)
    dark, normal = LIS(tmp_path, "train"), LIS(root, "train", light="normal")
    for i in range(3):
        assert abs(int(dark[i]["image"].float().mean()) - 9 * (2 * i + 2)) <= 1, "the file has another ending"
        assert normal[i]["image"].unique().tolist() == [9 * (2 * i + 1)]
        assert torch.equal(dark[i]["target"]["masks"], normal[i]["target"]["masks"])
    assert (dark[0]["name"], normal[2]["name"]) == ("JPEGImages/2", "JPEGImages/5")
    for options, message in (
        ({"split": "val"}, "unknown LIS split 'val'"),
        ({"light": "dim"}, "unknown light 'dim'; known: normal, dark"),
        ({"split": "test"}, r"lis_coco_JPG_test\+1\.json"),
    ):
        with pytest.raises(ValueError, match=message):
            LIS(root, **options)
