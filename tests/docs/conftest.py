# SPDX-License-Identifier: Apache-2.0
"""A folder with everything that commands and examples of the pages name: data, images, a run, configurations."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def stand_ins(tmp_path, monkeypatch, untrained_checkpoint):
    """The current folder: small files under the names that the pages use for those of their readers."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("a", "b"):
            image = random.integers(0, 256, (64, 96, 3), np.uint8)
            labels = random.integers(0, 3, (8, 12), np.uint8).repeat(8, 0).repeat(8, 1)
            _save(Path("ROOT/images", split, f"{name}.jpg"), image)
            _save(Path("ROOT/labels", split, f"{name}.png"), labels)
    shutil.copytree("ROOT/images/val", "PHOTOS")
    shutil.copytree("ROOT/labels/val", "PREDICTIONS")
    shutil.copytree("ROOT/labels/val", "GROUND_TRUTH")
    data, run = re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "docs/train.md").read_text(encoding="utf-8"), re.DOTALL)
    Path("ROOT/data.yaml").write_text(data)
    Path("my.yaml").write_text(run)
    shutil.copytree(REPOSITORY / "configs", "configs")
    shutil.copy("configs/tiny/fpn_freqfusion.yaml", "FILE")
    checkpoint = Path("runs/NAME/checkpoints/best.ckpt")
    checkpoint.parent.mkdir(parents=True)
    shutil.copy(untrained_checkpoint(), checkpoint)
    shutil.copy(checkpoint, checkpoint.with_name("last.ckpt"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


def _save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
