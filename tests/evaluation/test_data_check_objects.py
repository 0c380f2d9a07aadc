# SPDX-License-Identifier: Apache-2.0
"""``dealias data check`` of objects: what good data sets hold, and every bad file and annotation."""

import json

import numpy as np
import pytest
from PIL import Image

from dealias.data import CocoInstances, CocoPanoptic

SIZE = 120, 160


def square(number, image, category, box, **more):
    left, top, width, height = box
    corners = [left, top, left + width, top, left + width, top + height, left, top + height]
    known = {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": width * height}
    return {**known, "segmentation": [corners], "iscrowd": 0, **more}


@pytest.fixture
def coco(tmp_path, save):
    """Three images of instances: a small, a medium and a large object, a crowd region, and none in the last."""
    rng = np.random.default_rng(0)
    images = [{"id": i, "file_name": f"{i}.png", "height": SIZE[0], "width": SIZE[1]} for i in (3, 5, 8)]
    for image in images:
        save(tmp_path / "coco" / "val" / image["file_name"], rng.integers(0, 255, (*SIZE, 3)).astype(np.uint8))
    crowd = {"size": list(SIZE), "counts": [0, 50, SIZE[0] * SIZE[1] - 50]}
    annotations = [
        square(1, 3, 7, [0, 0, 31, 33]),
        square(2, 3, 7, [10, 10, 32, 32]),
        square(3, 5, 2, [0, 0, 96, 96]),
        square(4, 5, 2, [0, 0, 1, 50], segmentation=crowd, iscrowd=1),
    ]
    categories = [{"id": 7, "name": "dog"}, {"id": 2, "name": "cat"}, {"id": 9, "name": "emu"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    return write(tmp_path / "coco" / "annotations" / "instances_val.json", content).parents[1]


@pytest.fixture
def panoptic(tmp_path, save):
    """Two images of a thing on stuff, the second with a crowd region."""
    root = tmp_path / "panoptic"
    images = [{"id": i, "file_name": f"{i}.jpg", "height": 8, "width": 10} for i in range(2)]
    annotations = []
    for i in range(2):
        save(root / "images" / "val" / f"{i}.jpg", np.zeros((8, 10, 3), np.uint8))
        ids = np.zeros((8, 10, 3), np.uint8)
        ids[1:, :5, 0], ids[1:, 5:, 0] = 4, 9
        save(root / "annotations" / "panoptic_val" / f"{i}.png", ids)
        infos = [{"id": 4, "category_id": 1, "iscrowd": i}, {"id": 9, "category_id": 2, "area": 35}]
        annotations.append({"image_id": i, "file_name": f"{i}.png", "segments_info": infos})
    categories = [{"id": 1, "name": "dog", "isthing": 1}, {"id": 2, "name": "sky", "isthing": 0}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    return write(root / "annotations" / "panoptic_val.json", content).parents[1]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def change(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    write(path, content)


@pytest.fixture
def check(tmp_path, run_command):
    """The exit code and the content of ``data_check.json``."""

    def run(root, *options, workers=1):
        code = run_command("data_check", root, "--workers", workers, "--out", tmp_path / "out", *options)
        return code, json.loads((tmp_path / "out" / "data_check.json").read_text())

    return run


def test_what_good_instances_hold(coco, check, capsys):
    code, found = check(coco)
    assert code == 0 and found["problems"] == []
    (instances,) = found["sets"]
    assert instances["kind"] == "instances" and instances["images"] == 3
    assert instances["splits"] == {"instances val": 3} and instances["sizes"] == {"160x120": 3}
    assert instances["objects"] == 3 and instances["areas"] == {"small": 1, "medium": 1, "large": 1}
    assert instances["oddities"] == {"crowd regions": 1, "images without objects": 1}
    classes = [(entry["name"], entry["objects"], entry["files"]) for entry in instances["classes"]]
    assert classes == [("cat", 1, 1), ("dog", 2, 1), ("emu", 0, 0)]
    printed = capsys.readouterr().out
    assert "All 3 images and their annotations can be used" in printed and "small: 1 (33.33 %)" in printed


def test_what_good_segments_hold(panoptic, check, capsys):
    code, found = check(panoptic)
    assert code == 0 and found["sets"][0]["kind"] == "panoptic"
    classes = [
        (entry["name"], entry["thing"], entry["objects"], entry["files"]) for entry in found["sets"][0]["classes"]
    ]
    assert classes == [("dog", True, 1, 2), ("sky", False, 2, 2)]
    assert found["sets"][0]["oddities"] == {"crowd regions": 1} and found["sets"][0]["objects"] == 1
    assert "stuff" in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "sets", "images"), [("coco", [3, 3], 6), ("lis", [8], 8)])
def test_published_layouts_are_recognised(tmp_path, write_dataset, check, kind, sets, images):
    root = write_dataset(kind, tmp_path / "LIS")
    code, found = check(root)
    assert (
        code == 0 and [len(entry["classes"]) for entry in found["sets"]] and found == check(root, "--preset", kind)[1]
    )
    assert sum(entry["images"] for entry in found["sets"]) == sum(sum(e["splits"].values()) for e in found["sets"])
    if kind == "lis":
        assert found["sets"][0]["splits"] == dict.fromkeys(
            ("dark test", "dark train", "normal test", "normal train"), 2
        )
        assert check(root.parent)[1] == found, "or holds it"


def test_files_elsewhere_and_workers(coco, panoptic, check):
    expected = check(coco)[1]["sets"][0]
    (coco / "annotations").rename(coco / "elsewhere")
    options = ("--images", "val", "--annotations", "elsewhere/instances_val.json")
    for workers in (1, 2):
        code, found = check(coco, *options, workers=workers)
        assert code == 0 and found["sets"][0] | {"files": 0, "splits": 0} == expected | {"files": 0, "splits": 0}
    (panoptic / "annotations" / "panoptic_val").rename(panoptic / "png")
    options = ("--images", "images/val", "--annotations", "annotations/panoptic_val.json", "--segments", "png")
    assert check(panoptic, *options)[0] == 0


def break_instances(content):
    images, annotations = content["images"], content["annotations"]
    images.append({"id": 9, "file_name": "9.png", "height": 0, "width": 5})
    images.append({"id": 10, "file_name": "../10.png", "height": 5, "width": 5})
    images.append({"id": 11, "height": 5, "width": 5})
    annotations += [
        square(21, 77, 7, [0, 0, 5, 5]),
        square(22, 78, 7, [0, 0, 5, 5]),
        square(23, 3, 99, [0, 0, 5, 5]),
        square(24, 3, 7, [0, 0, -5, 5]),
        square(25, 3, 7, [0, 0, 5, 5], segmentation=[[1, 2, 3]]),
        square(26, 3, 7, [0, 0, 5, 5], segmentation={"size": [9, 9], "counts": [81]}),
        square(27, 3, 7, [0, 0, 5, 5], area="big"),
        {"id": 28, "image_id": 3, "category_id": 7},
        square(29, 3, 7, [150, 0, 30, 0], segmentation=[]),
    ]


def test_every_bad_annotation_is_listed(coco, check, capsys):
    good = check(coco)[1]["sets"][0]
    path = coco / "annotations" / "instances_val.json"
    change(path, break_instances)
    (coco / "val" / "5.png").write_bytes((coco / "val" / "5.png").read_bytes()[:300])
    Image.new("RGB", SIZE).save(coco / "val" / "8.png")
    code, found = check(coco)
    listed = sorted((entry["file"].rpartition("/")[2], entry["reason"]) for entry in found["problems"])
    expected = [
        ("5.png", "cannot be read"),
        ("8.png", "size 120x160 differs from 160x120 in"),
        ("instances_val.json", "annotation 24: expected [left, top, width, height] as bbox"),
        ("instances_val.json", "annotation 25 of image 3: invalid segmentation: polygons must be"),
        ("instances_val.json", "annotation 26 of image 3: invalid segmentation: size [9, 9] differs"),
        ("instances_val.json", "annotation 27: the area must be a number of pixels, found 'big'"),
        ("instances_val.json", "annotations of unknown categories: id 99"),
        ("instances_val.json", "annotations of unknown images: id 77"),
        ("instances_val.json", "annotations of unknown images: id 78"),
        ("instances_val.json", "annotations, id 28: needs image_id, id, category_id, bbox"),
        ("instances_val.json", "file names must be relative and stay within their folder, found '../10.png'"),
        ("instances_val.json", "image 9: height and width must be positive integers, found (0, 5)"),
        ("instances_val.json", "images, id 11: needs id, file_name, height, width"),
    ]
    assert code == 1 and len(listed) == len(expected)
    assert all(name == file and reason in text for (file, text), (name, reason) in zip(listed, expected, strict=True))
    found = found["sets"][0]
    oddities = {"boxes beyond the image": 1, "boxes without area": 1, "masks without pixels": 1}
    assert found["oddities"] == good["oddities"] | oddities
    assert found["objects"] == good["objects"] + 1, "what is right is counted"
    errors = capsys.readouterr().err
    assert "13 problems in 3 files" in errors and "unknown images: id 78" in errors
    with pytest.raises(ValueError, match=r"instances_val\.json"):
        CocoInstances(coco / "val", path)


def test_every_bad_segment_is_listed(panoptic, check, save):
    path = panoptic / "annotations" / "panoptic_val.json"
    save(path.with_suffix("") / "1.png", np.full((8, 10, 3), 9, np.uint8))

    def damage(content):
        content["images"] += [{"id": i, "file_name": f"{i}.jpg", "height": 8, "width": 10} for i in (2, 3, 4)]
        content["annotations"].append({"image_id": 2, "file_name": "2.png", "segments_info": [{"id": 1}]})
        content["annotations"].append({"image_id": 3, "file_name": "3.png", "segments_info": 5})

    change(path, damage)
    code, found = check(panoptic)
    reasons = [entry["reason"] for entry in found["problems"]]
    assert code == 1 and len(reasons) == 7
    assert reasons[0] == "images without annotation: id 4"
    assert reasons[1].startswith("image 2: segment of an unknown category or id") and "a list of" in reasons[2]
    assert reasons[3].startswith("segments in this file but not in") and reasons[3].endswith("id 592137")
    assert all("cannot be read" in reason for reason in reasons[4:]), "images 2 to 4"
    with pytest.raises(ValueError, match=r"panoptic_val\.json"):
        CocoPanoptic(panoptic / "images" / "val", path)


def test_what_cannot_be_read_at_all_is_an_error(coco, run_command):
    path = coco / "annotations" / "instances_val.json"
    options = ("--annotations", path, "--images")
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        run_command("data_check", coco, *options, "nowhere")
    with pytest.raises(ValueError, match="needs --images"):
        run_command("data_check", coco, "--annotations", path)
    with pytest.raises(ValueError, match="--classes"):
        run_command("data_check", coco, *options, "val", "--classes", 3)
    for text, message in (("{", "cannot be read as JSON"), ("[]", "expected an object"), ("{}", "a list of images")):
        path.write_text(text)
        with pytest.raises(ValueError, match=rf"instances_val\.json: {message}|{message}"):
            run_command("data_check", coco)
    with pytest.raises(ValueError, match=r"no RGB-normal or RGB-dark"):
        run_command("data_check", coco, "--preset", "lis")
    (coco / "val").rename(coco / "other")
    with pytest.raises(ValueError, match=r"no annotations/instances_SPLIT\.json or .* with images in SPLIT"):
        run_command("data_check", coco, "--preset", "coco")
