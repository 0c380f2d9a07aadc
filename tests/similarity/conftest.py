# SPDX-License-Identifier: Apache-2.0
"""The checkpoint of a tiny network with fusions, and the command."""

import pytest
import torch

from dealias import __version__
from dealias.cli import main
from dealias.data import SyntheticScenes
from dealias.models import create_model


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """Untrained, in the layout of a trained one."""
    path = tmp_path_factory.mktemp("run") / "last.ckpt"
    torch.manual_seed(0)
    network = create_model("fpn", encoder_name="test_resnet", classes=9, decoder_channels=8, fusion="freqfusion")
    data = {"classes": SyntheticScenes.classes, "palette": SyntheticScenes.palette, "ignore_index": 255}
    data |= {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.2, 0.2)}
    stored = {
        "dealias": {"version": __version__, "network": network.config, "scores": {}},
        "state_dict": {f"network.{key}": value for key, value in network.state_dict().items()},
        "global_step": 0,
        "epoch": 0,
        "SegmentationData": data,
    }
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
    """Exit code, output and errors of ``dealias analyze --similarity``."""

    def run(*arguments):
        code = main(["analyze", "--similarity", *map(str, arguments), "--device", "cpu"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
