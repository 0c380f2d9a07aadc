# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of tiny networks with modulation, as new and with samples that move, and the command."""

import pytest
import torch

from dealias.cli import main


@pytest.fixture(scope="session")
def new(untrained_checkpoint):
    """As new: its modulations do nothing."""
    return untrained_checkpoint(modulation="ars")


@pytest.fixture(scope="session")
def checkpoint(new):
    """With modulations that move samples, as if they were trained."""
    stored = torch.load(new, weights_only=True)
    torch.manual_seed(1)
    for key, value in stored["state_dict"].items():
        if key.endswith("modulation.attention.fuse.weight"):
            value.normal_(std=1.0)
    path = new.with_name("moved.ckpt")
    torch.save(stored, path)
    return path


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


@pytest.fixture
def analyze(capsys):
    """Exit code, output and errors of ``dealias analyze --modulation``."""

    def run(*arguments):
        code = main(["analyze", "--modulation", *map(str, arguments), "--device", "cpu"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
