# SPDX-License-Identifier: Apache-2.0
"""The checkpoint of a tiny training, image files, and the command."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import Trainer
from PIL import Image

from dealias.cli import main
from dealias.data import SyntheticScenes, training_transform
from dealias.models import create_model
from dealias.train import AtomicCheckpointIO, SegmentationData, SegmentationTask


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """After one step, so the running statistics are not those of an untrained network."""
    path = tmp_path_factory.mktemp("run") / "last.ckpt"
    torch.manual_seed(0)
    network = create_model("fpn", encoder_name="test_resnet", classes=9, fusion="bilinear", decoder_channels=8)
    scenes = SyntheticScenes(2, size=(64, 64))
    data = SegmentationData(train=scenes, train_transform=training_transform(64), batch_size=2, workers=0)
    options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            accelerator="cpu", max_steps=1, enable_checkpointing=False, plugins=[AtomicCheckpointIO()], **options
        )
        trainer.fit(SegmentationTask(network), data)
    trainer.save_checkpoint(path)
    return path


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


@pytest.fixture
def save():
    """Write a noisy picture, or the given one, to a path below the current folder."""

    def write(name, size=(45, 70), mode="RGB", **options):
        pixels = np.random.default_rng(len(name)).integers(0, 256, (*size, 3), dtype=np.uint8)
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).convert(mode).save(path, **options)
        return path

    return write


@pytest.fixture
def predict(capsys, checkpoint):
    """Exit code, output and errors of ``dealias predict``."""

    def run(*arguments, checkpoint=checkpoint):
        code = main(["predict", *map(str, arguments), "--checkpoint", str(checkpoint), "--device", "cpu"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
