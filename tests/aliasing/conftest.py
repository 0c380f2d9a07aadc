# SPDX-License-Identifier: Apache-2.0
"""The checkpoint of a tiny network that finds something, and the command."""

import pytest
import torch

from dealias.cli import main


@pytest.fixture(scope="session")
def checkpoint(untrained_checkpoint):
    """Untrained, but with the classes of the scenes."""
    return untrained_checkpoint()


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


@pytest.fixture
def analyze(capsys):
    """Exit code, output and errors of ``dealias analyze``."""

    def run(*arguments):
        code = main(["analyze", *map(str, arguments), "--device", "cpu"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
