# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from dealias.data import SegmentationFolders

CLASSES = ("a", "b", "c")


def test_samples_are_in_order_of_their_names(folders):
    images, labels = folders(["z", "sub/b", "sub/a"])
    dataset = SegmentationFolders(images, labels, CLASSES)
    assert len(dataset) == 3 and dataset.classes == CLASSES and len(dataset.palette) == 3
    assert [sample["name"] for sample in dataset] == ["sub/a", "sub/b", "z"]
    assert [int(sample["image"][0, 0, 0]) for sample in dataset] == [20, 10, 0]
    sample = dataset[0]
    assert isinstance(sample["image"], tv_tensors.Image) and isinstance(sample["mask"], tv_tensors.Mask)
    assert sample["image"].shape == (3, 6, 8) and sample["mask"].shape == (6, 8)
    assert sample["mask"].dtype == torch.uint8 and (sample["mask"] == 1).all()


def test_formats_mix_and_other_files_are_passed_over(tmp_path, save):
    for name in ("a.jpg", "b.JPEG", "c.webp", "d.tiff", "e.png"):
        save(tmp_path / "images" / name, np.zeros((4, 4, 3), np.uint8))
    for name in ("a.png", "b.PNG", "c.tif", "d.tiff", "e.png"):
        save(tmp_path / "labels" / name, np.zeros((4, 4), np.uint8))
    (tmp_path / "images" / "notes.txt").write_text("not an image")
    (tmp_path / "images" / "._a.jpg").write_text("left by another system")
    (tmp_path / "images" / ".cache").mkdir()
    (tmp_path / "images" / ".cache" / "x.png").write_text("hidden")
    dataset = SegmentationFolders(tmp_path / "images", tmp_path / "labels", CLASSES)
    assert dataset.names == ["a", "b", "c", "d", "e"]
    assert all(sample["image"].shape == (3, 4, 4) for sample in dataset)


def test_suffixes(tmp_path, save):
    save(tmp_path / "leftImg8bit" / "city" / "x.1_leftImg8bit.png", np.zeros((4, 4, 3), np.uint8))
    for kind in ("labelTrainIds", "color", "instanceIds"):
        save(tmp_path / "gtFine" / "city" / f"x.1_gtFine_{kind}.png", np.zeros((4, 4), np.uint8))
    suffixes = ("_leftImg8bit", "_gtFine_labelTrainIds")
    dataset = SegmentationFolders(tmp_path / "leftImg8bit", tmp_path / "gtFine", CLASSES, suffixes=suffixes)
    assert dataset.names == ["city/x.1"]
    assert dataset.files[0][1].name == "x.1_gtFine_labelTrainIds.png"


def test_list_file_chooses_and_orders(tmp_path, folders):
    images, labels = folders(["a", "b", "sub/c.v2", "d"])
    (tmp_path / "train.txt").write_text("\ufeffd\n\n sub/c.v2.png \na\r\n", encoding="utf-8")
    dataset = SegmentationFolders(images, labels, CLASSES, list_file=tmp_path / "train.txt")
    assert dataset.names == ["d", "sub/c.v2", "a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\nnone\n", r"1 samples of .*list\.txt without an image in .*images: none"),
        ("a\na.png\n", r"1 names that .*list\.txt has more than once: a"),
        ("\n", r"list\.txt: empty split"),
        (None, r"list\.txt: cannot be read"),
        (b"\xff\xfe\x00", r"list\.txt: cannot be read"),
    ],
)
def test_bad_list_files(tmp_path, folders, content, message):
    images, labels = folders(["a"])
    if content is not None:
        (tmp_path / "list.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        SegmentationFolders(images, labels, CLASSES, list_file=tmp_path / "list.txt")


def test_missing_folder_and_empty_split(tmp_path, folders):
    images, _ = folders(["a"])
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        SegmentationFolders(images, tmp_path / "nowhere", CLASSES)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: empty split"):
        SegmentationFolders(tmp_path / "empty", tmp_path / "labels", CLASSES)


def test_missing_pairs_are_counted_and_listed(folders):
    images, labels = folders([f"{i:02}" for i in range(15)])
    for i in range(12):
        (labels / f"{i:02}.png").unlink()
    with pytest.raises(
        ValueError, match=r"12 images in .* without a label map in .*labels: 00, .*08, 09, \.\.\."
    ) as error:
        SegmentationFolders(images, labels, CLASSES)
    assert "10" not in str(error.value).split("labels:")[1]
    for i in range(12, 15):
        (images / f"{i:02}.png").unlink()
        (labels / f"{i - 12:02}.png").touch()
    for i in range(3, 12):
        (images / f"{i:02}.png").unlink()
    with pytest.raises(ValueError, match=r"3 label maps in .* without an image in .*images: 12, 13, 14"):
        SegmentationFolders(images, labels, CLASSES)


def test_two_files_of_one_name(folders, save):
    images, labels = folders(["a"])
    save(images / "a.jpg", np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r"a\.jpg and .*a\.png have the same name 'a'"):
        SegmentationFolders(images, labels, CLASSES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ()}, "at least one class"),
        ({"ignore_index": 1}, "ignore_index 1 is the id of class 'b'"),
        ({"palette": [(0, 0, 0)]}, "one colour for each of 3 classes, got 1"),
        ({"palette": [(0, 0, 0), (1, 2), (3, 3, 3)]}, "colour of class 'b'"),
        ({"palette": [(0, 0, 0), (1, 2, 256), (3, 3, 3)]}, "colour of class 'b'"),
    ],
)
def test_bad_classes_and_palettes(folders, options, message):
    with pytest.raises(ValueError, match=message):
        SegmentationFolders(*folders(["a"]), **{"classes": CLASSES, **options})


def test_sizes_must_agree(folders, save):
    images, labels = folders(["a"])
    dataset = SegmentationFolders(images, labels, CLASSES)
    save(labels / "a.png", np.zeros((6, 9), np.uint8))
    with pytest.raises(ValueError, match=r"labels/a\.png: size 9x6 differs from 8x6 of its image .*images/a\.png$"):
        dataset[0]
    save(labels / "a.png", np.zeros((8, 6), np.uint8))
    with pytest.raises(ValueError, match="EXIF orientation is not applied"):
        dataset[0]


def test_unknown_ids_are_refused(folders, save):
    images, labels = folders(["a"])
    dataset = SegmentationFolders(images, labels, CLASSES, ignore_labels=(7,))
    save(labels / "a.png", np.array([[0, 1, 2, 3, 7, 255, 254, 3]] * 6, np.uint8))
    with pytest.raises(ValueError, match=r"a\.png: ids 3, 254 found, expected class ids 0\.\.2 or ignored \(7, 255\)"):
        dataset[0]
    save(labels / "a.png", np.full((6, 8), 256 + 1, np.uint16))
    with pytest.raises(ValueError, match="ids 257 found"):
        dataset[0]


@pytest.mark.parametrize(("ignore_index", "dtype"), [(255, torch.uint8), (-100, torch.int64), (1000, torch.int64)])
@pytest.mark.parametrize("written", [np.uint8, np.uint16])
def test_ignored_ids(folders, save, ignore_index, dtype, written):
    images, labels = folders(["a"])
    save(labels / "a.png", np.array([[0, 1, 2, 3, 7, 7, 0, 1]] * 6, written))
    dataset = SegmentationFolders(images, labels, CLASSES, ignore_index=ignore_index, ignore_labels=(3, 7))
    i = ignore_index
    assert dataset[0]["mask"].dtype == dtype
    assert dataset[0]["mask"][0].tolist() == [0, 1, 2, i, i, i, 0, 1]


def test_many_classes(folders, save):
    images, labels = folders(["a"])
    save(labels / "a.png", np.full((6, 8), 299, np.uint16))
    dataset = SegmentationFolders(images, labels, [f"class {i}" for i in range(300)], ignore_index=-1)
    assert len(set(dataset.palette)) == 300
    assert dataset[0]["mask"].unique().tolist() == [299]
