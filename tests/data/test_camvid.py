# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from dealias.data import CamVid

DATA = Path(os.environ.get("DEALIAS_DATA", Path(__file__).parents[2] / "../shared/data")) / "camvid"


@pytest.fixture
def root(tmp_path, save):
    for split, count in (("train", 3), ("val", 2), ("test", 1)):
        for i in range(count):
            save(tmp_path / "images" / split / f"{split}_{i}.jpg", np.full((36, 48, 3), 99, np.uint8))
            save(tmp_path / "labels" / split / f"{split}_{i}.png", np.tile(np.arange(12, dtype=np.uint8), (36, 4)))
    return tmp_path


def test_splits_and_void(root):
    assert [len(CamVid(root, split)) for split in ("train", "val", "test")] == [3, 2, 1]
    dataset = CamVid(root, "val")
    assert len(dataset.classes) == len(set(dataset.palette)) == 11
    assert dataset.classes[:4] == ("sky", "building", "pole", "road") and dataset.palette[3] == (128, 64, 128)
    assert dataset[1]["name"] == "val_1"
    assert dataset[1]["mask"][0, :12].tolist() == [*range(11), 255]


def test_unknown_split(root):
    with pytest.raises(ValueError, match="unknown CamVid split 'training'; known: train, val, test"):
        CamVid(root, "training")


@pytest.mark.skipif(not DATA.is_dir(), reason=f"needs CamVid in {DATA}; DEALIAS_DATA names the folder above it")
@pytest.mark.parametrize(("split", "count"), [("train", 367), ("val", 101), ("test", 233)])
def test_real_data(split, count):
    dataset = CamVid(DATA, split)
    assert len(dataset) == count
    sample = dataset[count // 2]
    assert sample["image"].shape == (3, 360, 480) and sample["mask"].shape == (360, 480)
    ids = set(sample["mask"].unique().tolist())
    assert ids <= {*range(11), 255} and {0, 1, 3} <= ids
    sky, road = (sample["image"][:, sample["mask"] == i].float().mean() for i in (0, 3))
    assert sky > road
