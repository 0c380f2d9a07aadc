# SPDX-License-Identifier: Apache-2.0
"""Damaged checkpoints and full disks: what is damaged is noticed, and the checkpoint before is used."""

import random
import resource
import shutil
from pathlib import Path

import pytest
import torch

from dealias.cli import main
from dealias.train import AtomicCheckpointIO, HistoryLogger
from dealias.train.checkpoint_files import previous_checkpoint, readable_checkpoint

CONFIG = Path(__file__).parents[2] / "configs" / "tiny" / "fpn_freqfusion.yaml"
QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false", "--run.pictures", "0"]
CONTENT = {"dealias": {"name": "x"}, "state_dict": {"a": torch.arange(3000.0)}, "epoch": 1, "optimizer": [(1, 0.5)]}


def save(path, *steps):
    for step in steps:
        AtomicCheckpointIO().save_checkpoint({**CONTENT, "global_step": step}, path)


DAMAGE = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-2000]),
    "flipped": lambda path: path.write_bytes(path.read_bytes().replace(torch.ones(1).numpy().tobytes(), b"\0\0\0\0")),
}


def test_the_checkpoint_before_is_kept(tmp_path):
    path = tmp_path / "last.ckpt"
    save(path, 1, 2, 3)
    found = {file.name: torch.load(file, weights_only=True)["global_step"] for file in tmp_path.iterdir()}
    assert found == {"last.ckpt": 3, "last.previous.ckpt": 2}
    assert readable_checkpoint(path) == path


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_falls_back_and_says_so(damage, tmp_path):
    path = tmp_path / "last.ckpt"
    save(path, 1, 2)
    damage(path)
    with pytest.warns(
        UserWarning, match=r"last\.ckpt: .* using the checkpoint before, .*last\.previous\.ckpt, of step 1"
    ):
        assert readable_checkpoint(path) == previous_checkpoint(path)
    previous_checkpoint(path).write_bytes(b"")
    with pytest.raises(ValueError, match=r"no checkpoint can be read: .*last\.ckpt: .*; .*last\.previous\.ckpt: "):
        readable_checkpoint(path)


def test_any_flipped_bit_is_noticed_or_changes_nothing(tmp_path):
    path, draw, noticed = tmp_path / "last.ckpt", random.Random(0), 0
    save(path, 1)
    whole = path.read_bytes()
    for _ in range(300):
        content = bytearray(whole)
        content[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        try:
            found = AtomicCheckpointIO().load_checkpoint(path)
        except ValueError as error:
            noticed += str(path) in str(error)
        else:
            assert torch.equal(found.pop("state_dict")["a"], CONTENT["state_dict"]["a"])
            assert found == {"dealias": {"name": "x"}, "epoch": 1, "optimizer": [(1, 0.5)], "global_step": 1}
    assert noticed > 200


def test_a_full_disk_keeps_what_there_was(tmp_path):
    path, limits = tmp_path / "last.ckpt", resource.getrlimit(resource.RLIMIT_FSIZE)
    save(path, 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        with pytest.raises(OSError, match=rf"MiB are free\): '{path}'") as caught:
            save(path, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno and [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.load(path, weights_only=True)["global_step"] == 1


def test_history_leaves_out_a_row_that_a_full_disk_cut(tmp_path):
    HistoryLogger(tmp_path).log_metrics({"a": 1.0}, 0)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("1,2.")
    HistoryLogger(tmp_path).log_metrics({"a": 3.0}, 2)
    assert (tmp_path / "metrics.csv").read_text() == "step,a\n0,1.0\n2,3.0\n"


def test_a_run_resumes_from_the_checkpoint_before(tmp_path):
    whole, damaged = tmp_path / "whole", tmp_path / "damaged"
    fit = ["fit", "--config", str(CONFIG), *QUIET]
    assert main([*fit, "--run.directory", str(whole)]) == 0
    shutil.copytree(whole, damaged)
    folder = damaged / "checkpoints"
    (folder / "last.ckpt").write_bytes(b"damaged")
    (folder / ".last.ckpt.1.part").touch()  # of a process that was killed
    with pytest.warns(UserWarning, match="using the checkpoint before"):
        assert main([*fit, "--run.directory", str(damaged), "--ckpt_path", "last"]) == 0
    found, expected = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (damaged, whole))
    assert found["global_step"] == expected["global_step"] == 4
    for name, tensor in expected["state_dict"].items():
        assert torch.equal(found["state_dict"][name], tensor), name
    assert (folder / "last.damaged").read_bytes() == b"damaged" and not list(folder.glob(".*"))
