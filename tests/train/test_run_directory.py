# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import dealias
from dealias.train import HistoryLogger, environment, new_run_directory, write_labels
from dealias.train.run_directory import checkpoint_path, newest_checkpoint, run_of_checkpoint


def test_run_directories_are_new(tmp_path):
    found = {new_run_directory("fit", tmp_path) for _ in range(5)}
    assert len(found) == 5 and all(path.is_dir() for path in found)


def test_the_newest_checkpoint_is_found(tmp_path):
    with pytest.raises(ValueError, match=r"no run in .* checkpoints/last\.ckpt"):
        newest_checkpoint("last", tmp_path)
    for age, run in enumerate("bac"):
        path = checkpoint_path(tmp_path / run, "last")
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))
    assert newest_checkpoint("last", tmp_path) == tmp_path / "b" / "checkpoints" / "last.ckpt"


def test_a_checkpoint_belongs_to_a_run_with_a_configuration(tmp_path):
    path = checkpoint_path(tmp_path / "run", "best")
    assert run_of_checkpoint(path) is None
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").touch()
    assert run_of_checkpoint(path) == tmp_path / "run"
    assert run_of_checkpoint(tmp_path / "run" / "other.ckpt") is None


def test_environment_names_versions_and_revision():
    found = environment(seed=3)
    assert torch.__version__.startswith(found["versions"]["torch"].partition("+")[0])
    assert found["versions"]["dealias"] == dealias.__version__ and {"python", "lightning", "timm"} <= set(
        found["versions"]
    )
    assert found["seed"] == 3 and found["device"] == "cpu" and found["threads"] == torch.get_num_threads()
    source = os.path.dirname(dealias.__file__)
    command = ["git", "-C", source, "rev-parse", "HEAD"]
    revision = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    assert found["revision"] in (None, revision, f"{revision}-dirty")


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("/home/me/.venv/bin/dealias", "dealias"),
        (os.path.join(os.path.dirname(dealias.__file__), "cli.py"), "dealias"),
        ("/home/me/my project/train.py", "train.py"),
        ("/home/me/cli.py", "cli.py"),
    ],
)
def test_the_command_can_be_pasted_into_a_shell(monkeypatch, program, expected):
    arguments = ["compare", "--data", "folders:my data.yaml", "--model-options", '{"a": "$HOME\'s"}']
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    done = subprocess.run(["sh", "-c", f"printf '%s\\n' {environment()['command']}"], capture_output=True, text=True)
    assert done.stdout.splitlines() == [expected, *arguments]


def test_history_keeps_one_table_across_sessions(tmp_path):
    first = HistoryLogger(tmp_path)
    for step in range(4):
        first.log_metrics({"loss": step / 2}, step)
    first.log_metrics({"score": 0.5}, 3)
    first.log_metrics({"loss": 9.0}, 4)
    second = HistoryLogger(tmp_path)
    second.log_metrics({"loss": 7.0, "a": 1.0}, 4)
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines == ["step,a,loss,score", "0,,0.0,", "1,,0.5,", "2,,1.0,", "3,,1.5,", "3,,,0.5", "4,1.0,7.0,"]


@pytest.mark.parametrize(("largest", "dtype"), [(255, np.uint8), (256, np.uint16), (65535, np.uint16)])
def test_labels_keep_their_ids(tmp_path, largest, dtype):
    labels = torch.tensor([[0, 1, 2], [3, 4, largest]])
    write_labels(labels, tmp_path / "a" / "b.png")
    found = np.asarray(Image.open(tmp_path / "a" / "b.png"))
    assert found.dtype == dtype and np.array_equal(found, labels.numpy())


def test_labels_out_of_range_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"b\.png: .* got -1\.\.3"):
        write_labels(torch.tensor([[-1, 3]]), tmp_path / "b.png")
