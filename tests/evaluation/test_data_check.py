# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest
from PIL import Image

from dealias.data import CamVid

CLASSES = 3


@pytest.fixture
def dataset(tmp_path, save):
    """A data set of four good pairs in two splits: its root, and the label maps by name."""
    rng = np.random.default_rng(0)
    labels = {}
    for name, size in (("train/a", (6, 8)), ("train/b", (6, 8)), ("val/a", (5, 9)), ("val/c", (6, 8))):
        labels[name] = rng.integers(0, CLASSES - 1, size).astype(np.uint8)
        labels[name][0, 0] = 255
        save(tmp_path / "set" / "labels" / f"{name}.png", labels[name])
        save(tmp_path / "set" / "images" / f"{name}.jpg", rng.integers(0, 255, (*size, 3)).astype(np.uint8))
    save(tmp_path / "set" / "images" / "val" / "a.jpg", np.zeros((5, 9), np.uint8))
    return tmp_path / "set", labels


@pytest.fixture
def check(tmp_path, run_command):
    """The exit code and the content of ``data_check.json``."""

    def run(root, *options, classes=("--classes", CLASSES), workers=1):
        out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
        code = run_command("data_check", root, *classes, "--workers", workers, "--out", out, *options)
        return code, json.loads((out / "data_check.json").read_text())

    return run


def test_what_a_good_data_set_holds(dataset, check, capsys):
    root, labels = dataset
    code, found = check(root, classes=("--classes", "sky,road,car"))
    assert code == 0 and found["problems"] == [] and found["bad_files"] == 0
    assert found["pairs"] == 4 and found["splits"] == {"train": 2, "val": 2}
    assert found["sizes"] == {"8x6": 3, "9x5": 1}
    assert found["image_modes"] == {"RGB": 3, "L": 1} and found["label_modes"] == {"L": 4}
    pixels = [sum(int((ids == label).sum()) for ids in labels.values()) for label in range(CLASSES)]
    assert [entry["pixels"] for entry in found["classes"]] == pixels and pixels[2] == 0
    assert [entry["share"] for entry in found["classes"]] == pytest.approx([count / sum(pixels) for count in pixels])
    assert [entry["files"] for entry in found["classes"]] == [4, 4, 0]
    assert [entry["name"] for entry in found["classes"]] == ["sky", "road", "car"]
    (other,) = found["other_ids"]
    assert other == {
        "id": 255,
        "ignored": True,
        "pixels": 4,
        "files": 4,
        "example": str(root / "labels" / "train" / "a.png"),
    }
    assert found["repeated_stems"] == {"a": ["train", "val"]}
    printed = capsys.readouterr().out
    assert "All 4 pairs can be used" in printed and "road" in printed and "8x6: 3, 9x5: 1" in printed


def test_every_bad_file_is_listed(dataset, check, save, capsys, monkeypatch):
    root, _ = dataset
    images, labels = root / "images", root / "labels"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for number in range(8):
        save(images / f"train/x{number}.png", np.zeros((6, 8, 3), np.uint8))
        save(labels / f"train/x{number}.png", np.zeros((6, 8), np.uint8))
    noise = np.random.default_rng(0).integers(0, 255, (30, 30, 3)).astype(np.uint8)
    data = save(images / "train/x0.png", noise).read_bytes()
    (images / "train/x0.png").write_bytes(data[:500])
    (labels / "train/x1.png").write_bytes(b"")
    save(labels / "train/x2.png", np.zeros((6, 8, 3), np.uint8))
    save(labels / "train/x3.png", np.full((6, 8), 7, np.uint8))
    save(labels / "train/x4.png", np.zeros((8, 6), np.uint8))
    (labels / "train/x5.png").unlink()
    (images / "train/x6.png").unlink()
    save(images / "train/x7.png", np.zeros((70, 70), np.uint8))
    save(images / "train/a.png", np.zeros((6, 8, 3), np.uint8))
    expected = {
        images / "train/x0.png": "cannot be read",
        labels / "train/x1.png": "cannot be read",
        labels / "train/x2.png": "one channel of class ids, got mode RGB",
        labels / "train/x3.png": "ids 7 found, expected class ids 0..2 or ignored (255)",
        labels / "train/x4.png": "size 6x8 differs from 8x6 of its image",
        images / "train/x5.png": "no label map 'train/x5'",
        labels / "train/x6.png": "no image 'train/x6'",
        images / "train/x7.png": "exceeds limit",
        images / "train/a.png": "same name 'train/a' as a.jpg",
    }
    code, found = check(root)
    assert code == 1 and found["bad_files"] == len(expected)
    reasons = {entry["file"]: entry["reason"] for entry in found["problems"]}
    assert reasons.keys() == {str(file) for file in expected}
    for file, reason in expected.items():
        assert reason in reasons[str(file)]
    assert "(EXIF orientation is not applied)" in reasons[str(labels / "train/x4.png")]
    unknown = next(entry for entry in found["other_ids"] if entry["id"] == 7)
    assert unknown["files"] == 1 and unknown["pixels"] == 48 and not unknown["ignored"]
    assert unknown["example"] == str(labels / "train/x3.png")
    errors = capsys.readouterr().err
    assert f"{len(expected)} bad files" in errors and str(labels / "train/x3.png") in errors


def test_workers_find_the_same(dataset, check):
    root, _ = dataset
    (root / "labels" / "train" / "b.png").write_bytes(b"")
    assert check(root, workers=1) == check(root, workers=2)


def test_folders_suffixes_and_lists(tmp_path, check, save):
    root = tmp_path / "city"
    for name in ("a/1", "a/2", "b/1"):
        save(root / "leftImg8bit" / f"{name}_leftImg8bit.png", np.zeros((4, 4, 3), np.uint8))
        save(root / "gtFine" / f"{name}_gtFine_labelIds.png", np.zeros((4, 4), np.uint8))
        save(root / "gtFine" / f"{name}_gtFine_color.png", np.zeros((4, 4, 3), np.uint8))
    options = ["--images", "leftImg8bit", "--labels", root / "gtFine"]
    options += ["--image-suffix", "_leftImg8bit", "--label-suffix", "_gtFine_labelIds"]
    code, found = check(root, *options)
    assert (code, found["pairs"]) == (0, 3)
    (root / "val.txt").write_text("a/1_leftImg8bit.png\nb/1\nb/1\nz/9\n")
    code, found = check(root, *options, "--list", "val.txt")
    assert (code, found["pairs"], found["splits"]) == (1, 2, {"a": 1, "b": 1})
    assert [entry["reason"][:27] for entry in found["problems"]] == [
        "'b/1' is listed 2 times",
        "'z/9' is listed: no image '",
    ]


def test_camvid_preset(tmp_path, check, save):
    for split in ("train", "val", "test"):
        save(tmp_path / "camvid" / "images" / split / "a.jpg", np.zeros((6, 12, 3), np.uint8))
        save(tmp_path / "camvid" / "labels" / split / "a.png", np.tile(np.arange(12, dtype=np.uint8), (6, 1)))
    code, found = check(tmp_path / "camvid", classes=("--preset", "camvid"))
    assert code == 0
    assert tuple(entry["name"] for entry in found["classes"]) == CamVid(tmp_path / "camvid").classes
    assert [(entry["id"], entry["ignored"]) for entry in found["other_ids"]] == [(11, True)]
    code, found = check(tmp_path / "camvid", "--ignore", "", classes=("--preset", "camvid"))
    assert code == 1 and found["bad_files"] == 3


def test_unknown_layouts(tmp_path, dataset, run_command):
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match=r"other: no images/ and labels/ or images/ and annotations/ in it"):
        run_command("data_check", tmp_path / "other", "--classes", 3)
    with pytest.raises(ValueError, match="given together"):
        run_command("data_check", dataset[0], "--classes", 3, "--images", "images")
    with pytest.raises(ValueError, match=r"none\.txt: cannot be read as a list"):
        run_command("data_check", dataset[0], "--classes", 3, "--list", "none.txt")


def test_check_is_a_command_of_data(dataset, run_command):
    assert run_command("data", "check", dataset[0], "--classes", 3, "--workers", 1) == 0


@pytest.mark.parametrize(
    ("kind", "splits", "names", "allowed"),
    [
        ("cityscapes", {"train": 3, "val": 1, "test": 1}, 19, [*range(7), 9, 10, 14, 15, 16, 18, 29, 30]),
        ("ade20k", {"training": 3, "validation": 1}, 150, [0]),
        ("voc2012", {"train_aug": 3, "val": 1}, 21, [255]),
    ],
)
def test_published_layouts_are_recognised(tmp_path, write_dataset, check, capsys, kind, splits, names, allowed):
    root = write_dataset(kind, tmp_path / "VOCdevkit" / "VOC2012", (40, 152))
    code, found = check(root, classes=())
    assert code == 0 and found["splits"] == splits and found["pairs"] == sum(splits.values())
    assert [entry["id"] for entry in found["classes"]] == list(range(names))
    assert all(entry["files"] == found["pairs"] and entry["pixels"] for entry in found["classes"])
    assert [(entry["id"], entry["ignored"]) for entry in found["other_ids"]] == [(label, True) for label in allowed]
    counted = sum(entry["pixels"] for entry in found["classes"] + found["other_ids"])
    assert counted == 40 * 152 * found["pairs"]
    assert check(root.parent if kind == "voc2012" else root, classes=("--preset", kind)) == (code, found)
    assert f"All {found['pairs']} pairs can be used" in capsys.readouterr().out


def test_bad_files_of_published_layouts(tmp_path, write_dataset, check, save, run_command):
    root = write_dataset("cityscapes", tmp_path / "city")
    labels = root / "gtFine" / "train" / "aachen"
    save(labels / "aachen_0_gtFine_labelIds.png", np.full((64, 96), 40, np.uint8))
    (labels / "aachen_1_gtFine_labelIds.png").unlink()
    code, found = check(root, classes=())
    assert code == 1 and [entry["id"] for entry in found["other_ids"] if not entry["ignored"]] == [40]
    reasons = [entry["reason"] for entry in found["problems"]]
    assert len(reasons) == 2 and reasons[0].startswith("no label map 'aachen/aachen_1_gtFine_labelIds'")
    assert reasons[1].startswith("ids 40 found, expected class ids 7..8, 11..13, 17, 19..28")
    for folder in (labels.parent.parent / "val", root / "leftImg8bit" / "test"):
        folder.rename(folder.with_name("gone"))
        with pytest.raises(ValueError, match=f"{folder}: no such folder"):
            run_command("data_check", root)
        folder.with_name("gone").rename(folder)


def test_what_is_not_recognised_needs_classes(tmp_path, dataset, write_dataset, run_command):
    with pytest.raises(ValueError, match="none of the data sets that are recognised; give --classes or --preset"):
        run_command("data_check", dataset[0])
    with pytest.raises(ValueError, match=r"no leftImg8bit/ and gtFine/ in .*set"):
        run_command("data_check", dataset[0], "--preset", "cityscapes")
    (tmp_path / "a" / "images").mkdir(parents=True)
    (tmp_path / "a" / "annotations").mkdir()
    with pytest.raises(ValueError, match="a: none of the splits training, validation"):
        run_command("data_check", tmp_path / "a", "--preset", "ade20k")
    root = write_dataset("voc2012", tmp_path / "voc")
    with pytest.raises(ValueError, match="for other folders or lists give --classes"):
        run_command("data_check", root, "--list", "ImageSets/Segmentation/val.txt")
