# SPDX-License-Identifier: Apache-2.0
import os
import zipfile

import pytest
import torch

from dealias.models import create_model
from dealias.train import (
    AtomicCheckpointIO,
    LastCheckpoint,
    OptimizerSettings,
    SegmentationTask,
    best_checkpoint,
    load_checkpoint,
)

OPTIONS = {"encoder_name": "test_resnet", "classes": 3, "fusion": "carafe", "decoder_channels": 8}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return create_model("fpn", **OPTIONS)


@pytest.fixture
def checkpoint(network, make_data, make_trainer, tmp_path):
    """The path of a checkpoint after one step."""
    path = tmp_path / "last.ckpt"
    trainer = make_trainer(max_steps=1, limit_val_batches=0, callbacks=[LastCheckpoint(path)])
    trainer.fit(SegmentationTask(network), make_data())
    return path


def test_a_checkpoint_rebuilds_the_network(network, checkpoint):
    torch.manual_seed(5)
    rebuilt, meta = load_checkpoint(checkpoint)
    images = torch.randn(1, 3, 40, 56)
    with torch.no_grad():
        assert torch.equal(rebuilt(images), network.eval()(images))
    assert not rebuilt.training
    assert meta["network"] == network.config and meta["network"]["fusion"] == "carafe"
    assert (meta["step"], meta["classes"], meta["ignore_index"], meta["mean"]) == (1, ["a", "b", "c"], 255, [0.0] * 3)
    assert meta["palette"] == [[255, 0, 0], [0, 255, 0], [0, 0, 255]] and meta["version"]


def damaged(path, folder):
    """Name, file and what its error must say."""
    content = torch.load(path, weights_only=True)
    whole = path.read_bytes()
    cases = {"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"not a checkpoint"}
    for name, data in cases.items():
        (folder / name).write_bytes(data)
    with zipfile.ZipFile(folder / "zip", "w") as archive:
        archive.writestr("a", "b")
    torch.save({"state_dict": {}, "epoch": 0, "global_step": 0}, folder / "foreign")
    torch.save([1, 2], folder / "list")
    torch.save({**content, "state_dict": {"network.x": torch.zeros(1)}}, folder / "weights")
    torch.save({**content, "dealias": {**content["dealias"], "network": {}}}, folder / "unknown")
    torch.save({"dealias": os.getcwd, "state_dict": {}}, folder / "code")
    return {
        **dict.fromkeys(("truncated", "empty", "text", "zip", "code"), "cannot be read as a checkpoint"),
        "foreign": r"no checkpoint of dealias, it lacks dealias; found \['state_dict', 'epoch', 'global_step'\]",
        "list": "it lacks dealias, state_dict, global_step, epoch; found list",
        "weights": "weights do not fit",
        "unknown": "not built by create_model",
    }


def test_damaged_and_foreign_files_are_named(checkpoint, tmp_path):
    for name, message in damaged(checkpoint, tmp_path).items():
        with pytest.raises(ValueError, match=f"^{tmp_path / name}: .*{message}"):
            load_checkpoint(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="nothing"):
        load_checkpoint(tmp_path / "nothing")


def test_resuming_another_network_names_what_differs(checkpoint, make_data, make_trainer):
    other = create_model("fpn", **{**OPTIONS, "decoder_channels": 4, "fusion": "bilinear"})
    with pytest.raises(
        ValueError, match=f"{checkpoint}: .* another network, it has decoder_channels 8 instead of 4, fusion 'carafe'"
    ):
        make_trainer(max_steps=2).fit(SegmentationTask(other), make_data(), ckpt_path=checkpoint)


def test_resuming_from_a_foreign_checkpoint_names_it(checkpoint, make_task, make_data, make_trainer):
    content = torch.load(checkpoint, weights_only=True)
    del content["dealias"]
    torch.save(content, checkpoint)
    with pytest.raises(ValueError, match=f"{checkpoint}: no checkpoint of dealias, it lacks dealias"):
        make_trainer(max_steps=2).fit(make_task(), make_data(), ckpt_path=checkpoint)


def test_a_write_that_fails_keeps_the_old_checkpoint(checkpoint):
    before = checkpoint.read_bytes()
    with pytest.raises((AttributeError, TypeError, RuntimeError, ValueError)):
        AtomicCheckpointIO().save_checkpoint({"a": torch.zeros(1000), "b": lambda: None}, checkpoint)
    assert checkpoint.read_bytes() == before
    assert [path.name for path in checkpoint.parent.iterdir()] == ["last.ckpt"]


def test_best_is_that_of_the_highest_miou(make_task, make_data, make_trainer, tmp_path):
    task = make_task(optimizer=OptimizerSettings("sgd", lr=0.3))
    scores = []
    finish = task.finish

    def recording(stage):
        finish(stage)
        scores.append(task.scores["val"]["mIoU"])

    task.finish = recording
    make_trainer(max_epochs=5, callbacks=[best_checkpoint(tmp_path)]).fit(task, make_data())
    assert len(set(scores)) > 1
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert best["epoch"] == scores.index(max(scores))
