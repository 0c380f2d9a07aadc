# SPDX-License-Identifier: Apache-2.0
"""Panoptic segments in COCO's format, and errors that name file and ids."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch

from dealias.data import CocoPanoptic, read_segment_ids

SIZE = (6, 9)
IDS = np.zeros(SIZE, np.int64)
IDS[:, :3], IDS[2:, 3:5], IDS[5, 8] = 7, 70001, 16777215


def coloured(ids):
    return np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)


@pytest.fixture
def content():
    infos = [
        {"id": 70001, "category_id": 200, "area": 9},
        {"id": 7, "category_id": 1, "iscrowd": 1},
        {"id": 16777215, "category_id": 200, "iscrowd": 0, "area": 1},
    ]
    return {
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": SIZE[0], "width": SIZE[1]} for i in (4, 8)],
        "categories": [
            {"id": 200, "name": "rug", "isthing": 0, "color": [1, 2, 3]},
            {"id": 1, "name": "person", "isthing": 1},
        ],
        "annotations": [
            {"image_id": 8, "file_name": "8.png", "segments_info": infos},
            {"image_id": 4, "file_name": "4.png", "segments_info": []},
        ],
    }


@pytest.fixture
def write(tmp_path, save):
    def build(content):
        for image in content["images"]:
            save(tmp_path / "images" / image["file_name"], np.full((*SIZE, 3), 100, np.uint8))
        save(tmp_path / "panoptic" / "8.png", coloured(IDS))
        save(tmp_path / "panoptic" / "4.png", coloured(np.zeros(SIZE, int)))
        (tmp_path / "panoptic.json").write_text(json.dumps(content))
        return tmp_path / "images", tmp_path / "panoptic.json"

    return build


def test_segments_are_objects_of_both_kinds(content, write, tmp_path):
    images, annotations = write(content)
    dataset = CocoPanoptic(images, annotations)
    assert dataset.classes == ("person", "rug") and dataset.category_ids == (1, 200)
    assert dataset.is_thing == (True, False) and dataset.palette[1] == (1, 2, 3) and len(dataset.palette[0]) == 3
    assert dataset.image_ids == [8, 4] and np.array_equal(read_segment_ids(tmp_path / "panoptic" / "8.png"), IDS)
    target = dataset[0]["target"]
    expected = np.stack([IDS == 70001, IDS == 7, IDS == 16777215])
    assert np.array_equal(target["masks"].numpy(), expected) and target["masks"].dtype == torch.uint8
    assert target["boxes"].tolist() == [[3, 2, 5, 6], [0, 0, 3, 6], [8, 5, 9, 6]]
    assert target["labels"].tolist() == [1, 0, 1] and target["iscrowd"].tolist() == [0, 1, 0]
    assert target["area"].tolist() == [9, 18, 1], "of the file, or else of the mask"
    empty = dataset[1]["target"]
    assert empty["masks"].shape == (0, *SIZE) and empty["boxes"].shape == (0, 4) and dataset[1]["name"] == "4"


def test_segments_in_another_folder(content, write, tmp_path):
    images, annotations = write(content)
    (tmp_path / "panoptic").rename(tmp_path / "ids")
    assert CocoPanoptic(images, annotations, tmp_path / "ids")[0]["target"]["labels"].tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match=r"panoptic/8\.png: cannot be read"):
        CocoPanoptic(images, annotations)[0]


def test_ids_of_png_and_json_must_be_the_same(content, write):
    more, fewer = copy.deepcopy(content), copy.deepcopy(content)
    more["annotations"][0]["segments_info"].append({"id": 12, "category_id": 1})
    with pytest.raises(ValueError, match=r"8\.png: segments not in this file but in .*panoptic\.json: id 12$"):
        CocoPanoptic(*write(more))[0]
    del fewer["annotations"][0]["segments_info"][0]
    with pytest.raises(ValueError, match=r"8\.png: segments in this file but not in .*panoptic\.json: id 70001$"):
        CocoPanoptic(*write(fewer))[0]


def test_other_sizes(content, write, save, tmp_path):
    images, annotations = write(content)
    save(tmp_path / "panoptic" / "8.png", coloured(IDS[1:]))
    with pytest.raises(ValueError, match=r"8\.png: size 9x5 differs from 9x6 of its image"):
        CocoPanoptic(images, annotations)[0]
    save(tmp_path / "images" / "8.jpg", np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r"8\.jpg: size 8x6 differs from 9x6 in .*panoptic\.json"):
        CocoPanoptic(images, annotations)[0]


CHANGES = {
    "no kind": (lambda c: c["categories"][0].pop("isthing"), "categories, id 200: needs id, name, isthing"),
    "unknown category": (
        lambda c: c["annotations"][0]["segments_info"][0].update(category_id=2),
        "image 8: segment of an unknown category or id: .*70001",
    ),
    "void as a segment": (
        lambda c: c["annotations"][0]["segments_info"][0].update(id=0),
        "image 8: segment of an unknown category or id",
    ),
    "image without annotation": (lambda c: c["annotations"].pop(), "images without annotation: id 4"),
    "unknown image": (lambda c: c["images"].pop(), "annotations of unknown images: id 8"),
    "segments elsewhere": (lambda c: c["annotations"][0].update(file_name="../8.png"), "stay within their folder"),
    "two annotations": (lambda c: c["annotations"].append(c["annotations"][0]), "3 annotations of 2 images"),
    "no segments": (lambda c: c["annotations"][1].pop("segments_info"), "needs image_id, file_name, segments_info"),
    "nothing": (lambda c: (c["images"].clear(), c["annotations"].clear()), "no images"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_bad_files_are_refused_by_name_and_id(content, write, change):
    edit, message = CHANGES[change]
    edit(content)
    with pytest.raises(ValueError, match=rf"panoptic\.json: .*{message}"):
        CocoPanoptic(*write(content))
