# SPDX-License-Identifier: Apache-2.0
"""Cityscapes, ADE20K and VOC 2012 in the folders that they are published in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from dealias.data import ADE20K, VOC2012, Cityscapes, read_labels

# Training id of the labelIds 0 to 33, row by row as in the data set's table of labels.
TRAIN_IDS = [255, 255, 255, 255, 255, 255, 255, 0, 1, 255, 255, 2, 3, 4, 255, 255, 255, 5, 255, 6, 7, 8, 9, 10]
TRAIN_IDS += [11, 12, 13, 14, 15, 255, 255, 16, 17, 18]

OPENERS = {
    "cityscapes": (Cityscapes, "train", 19),
    "ade20k": (ADE20K, "training", 150),
    "voc2012": (VOC2012, "train", 21),
}


def stored(dataset, index):
    return np.asarray(Image.open(dataset.files[index][1]))


@pytest.mark.parametrize(("kind", "size"), [("cityscapes", (64, 96)), ("ade20k", (37, 151)), ("voc2012", (33, 51))])
def test_images_and_masks_have_the_stored_size(tmp_path, write_dataset, kind, size):
    opener, split, classes = OPENERS[kind]
    dataset = opener(write_dataset(kind, tmp_path, size), split)
    assert len(dataset.classes) == len(set(dataset.classes)) == len(dataset.palette) == classes
    assert dataset.ignore_index == 255
    for sample in dataset:
        assert sample["image"].shape == (3, *size) and sample["mask"].shape == size
        assert sample["mask"].dtype == torch.uint8
        assert set(sample["mask"].unique().tolist()) <= {*range(classes), 255}


def test_cityscapes_splits_and_derived_ids(tmp_path, write_dataset):
    root = write_dataset("cityscapes", tmp_path)
    before = sorted(path for path in root.rglob("*"))
    dataset = Cityscapes(root, "train")
    assert dataset.names == ["aachen/aachen_0", "aachen/aachen_1", "bochum/bochum_0"]
    assert [Cityscapes(root, split).names for split in ("val", "test")] == [["lindau/lindau_0"], ["berlin/berlin_0"]]
    for i, sample in enumerate(dataset):
        assert np.array_equal(sample["mask"].numpy(), np.array(TRAIN_IDS, np.uint8)[stored(dataset, i)])
    assert sorted(path for path in root.rglob("*")) == before, "nothing is written into the data set"
    assert dataset.classes[:3] == ("road", "sidewalk", "building") and dataset.palette[0] == (128, 64, 128)
    assert dataset.classes[18] == "bicycle" and dataset.classes[13] == "car"


def test_cityscapes_prefers_training_ids_where_every_image_has_them(tmp_path, write_dataset, save):
    root = write_dataset("cityscapes", tmp_path)
    for i, name in enumerate(Cityscapes(root, "train").names):
        save(root / "gtFine" / "train" / f"{name}_gtFine_labelTrainIds.png", np.full((64, 96), i, np.uint8))
        dataset = Cityscapes(root, "train")
        kind = "labelTrainIds" if i == 2 else "labelIds"
        assert all(file.name.endswith(f"_gtFine_{kind}.png") for _, file in dataset.files)
    assert [sample["mask"].unique().tolist() for sample in dataset] == [[0], [1], [2]]
    save(root / "gtFine" / "train" / "aachen" / "aachen_0_gtFine_labelTrainIds.png", np.full((64, 96), 33, np.uint8))
    with pytest.raises(ValueError, match=r"aachen_0_gtFine_labelTrainIds\.png: ids 33 found, expected class ids 0..18"):
        Cityscapes(root, "train")[0]


def test_ade20k_reduces_the_zero_label(tmp_path, write_dataset):
    dataset = ADE20K(write_dataset("ade20k", tmp_path, (16, 160)), "training")
    for i, sample in enumerate(dataset):
        expected = stored(dataset, i).astype(int) - 1
        assert np.array_equal(sample["mask"].numpy(), np.where(expected < 0, 255, expected))
    assert {0, 149, 255} <= set(dataset[0]["mask"][0].tolist())
    assert (dataset.classes[0], dataset.classes[12], dataset.classes[149]) == ("wall", "person", "flag")
    assert dataset.palette[2] == (6, 230, 230), "sky"
    assert ADE20K(tmp_path, "validation").names == ["ADE_val_00000000"]


def test_voc_lists_palettes_and_borders(tmp_path, write_dataset):
    root = write_dataset("voc2012", tmp_path)
    assert VOC2012(root, "train").names == ["2007_000032", "2007_000039"]
    assert VOC2012(root, "trainval").names == ["2007_000032", "2007_000039", "2007_000033"]
    dataset = VOC2012(root, "val")
    assert dataset.names == ["2007_000033"] and dataset.files[0][1].parent.name == "SegmentationClass"
    assert Image.open(dataset.files[0][1]).mode == "P"
    assert np.array_equal(dataset[0]["mask"].numpy(), stored(dataset, 0)) and (dataset[0]["mask"] == 255).any()
    assert dataset.classes[0] == "background" and dataset.classes[15] == "person"
    bits = [[(i >> 3 * k + c & 1) << 7 - k for k in range(3)] for i in range(21) for c in range(3)]
    assert list(sum(dataset.palette, ())) == [sum(row) for row in bits], "the colour map of VOC spreads the id's bits"


def test_voc_with_a_list_of_all_names(tmp_path, write_dataset):
    root = write_dataset("voc2012", tmp_path)
    dataset = VOC2012(root, "train_aug")
    assert dataset.names == ["2007_000032", "2007_000039", "2008_000002"]
    assert {file.parent.name for _, file in dataset.files} == {"SegmentationClassAug"}
    lists = root / "ImageSets" / "Segmentation"
    (lists / "trainaug.txt").rename(lists / "train_aug.txt")
    assert VOC2012(root, "train_aug").files == dataset.files


def test_voc_with_a_list_of_the_added_names(tmp_path, write_dataset):
    root = write_dataset("voc2012", tmp_path)
    (root / "SegmentationClassAug" / "2007_000032.png").unlink()
    (root / "ImageSets" / "Segmentation" / "aug.txt").write_text("2008_000002\n2007_000039\n")
    dataset = VOC2012(root, "train_aug")
    assert dataset.names == ["2007_000032", "2007_000039", "2008_000002"]
    folders = [file.parent.name for _, file in dataset.files]
    assert folders == ["SegmentationClass", "SegmentationClass", "SegmentationClassAug"]


@pytest.mark.parametrize(
    ("kind", "above"), [("cityscapes", "cityscapes"), ("ade20k", "ADEChallengeData2016"), ("voc2012", "VOC2012")]
)
def test_root_may_be_the_folder_above(tmp_path, write_dataset, kind, above):
    opener, split, _ = OPENERS[kind]
    root = write_dataset(kind, tmp_path / "VOCdevkit" / above)
    expected = opener(root, split).files
    assert opener(root.parent, split).files == expected == opener(str(root.parent), split).files
    if kind == "voc2012":
        assert opener(tmp_path, split).files == expected


@pytest.mark.parametrize(
    ("kind", "looked_for"),
    [
        ("cityscapes", r"no leftImg8bit/ and gtFine/ in {0} or {0}/cityscapes or {0}/Cityscapes"),
        ("ade20k", r"no images/ and annotations/ in {0} or {0}/ADEChallengeData2016"),
        ("voc2012", r"no JPEGImages/ and SegmentationClass/ and ImageSets/Segmentation/ in {0} or {0}/VOC2012"),
    ],
)
def test_errors_say_what_was_looked_for(tmp_path, write_dataset, kind, looked_for):
    opener, split, _ = OPENERS[kind]
    with pytest.raises(ValueError, match=looked_for.format(tmp_path)):
        opener(tmp_path, split)
    with pytest.raises(ValueError, match=f"split 'testing'; known: {split}"):
        opener(write_dataset(kind, tmp_path), "testing")


def test_missing_files_and_wrong_ids_are_named(tmp_path, write_dataset, save):
    root = write_dataset("cityscapes", tmp_path / "city")
    (root / "gtFine" / "val" / "lindau" / "lindau_0_gtFine_labelIds.png").unlink()
    with pytest.raises(ValueError, match=r"1 images in .* without a label map \*_gtFine_labelIds in .*: lindau/lind"):
        Cityscapes(root, "val")
    file = root / "gtFine" / "train" / "aachen" / "aachen_1_gtFine_labelIds.png"
    save(file, np.full((64, 96), 34, np.uint8))
    with pytest.raises(ValueError, match=r"aachen_1_gtFine_labelIds\.png: ids 34 found, expected class ids 7\.\.8, 11"):
        Cityscapes(root, "train")[1]
    ade = write_dataset("ade20k", tmp_path / "ade")
    save(ade / "annotations" / "validation" / "ADE_val_00000000.png", np.full((64, 96), 151, np.uint8))
    with pytest.raises(ValueError, match=r"ids 151 found, expected class ids 1\.\.150 or ignored \(0, 255\)"):
        ADE20K(ade, "validation")[0]


def test_missing_lists_are_named(tmp_path, write_dataset):
    root = write_dataset("voc2012", tmp_path)
    (root / "ImageSets" / "Segmentation" / "trainaug.txt").unlink()
    with pytest.raises(ValueError, match=r"Segmentation: no trainaug\.txt, train_aug\.txt or aug\.txt"):
        VOC2012(root, "train_aug")
    (root / "ImageSets" / "Segmentation" / "val.txt").unlink()
    with pytest.raises(ValueError, match=r"val\.txt: cannot be read as a list"):
        VOC2012(root, "val")


def test_label_maps_of_more_than_8_bits_are_mapped_too(tmp_path, write_dataset, save):
    root = write_dataset("ade20k", tmp_path)
    file = root / "annotations" / "validation" / "ADE_val_00000000.png"
    save(file, read_labels(file).numpy().astype(np.uint16))
    expected = read_labels(file).numpy().astype(int) - 1
    assert np.array_equal(ADE20K(root, "validation")[0]["mask"].numpy(), np.where(expected < 0, 255, expected))
