# SPDX-License-Identifier: Apache-2.0
"""``dealias fit`` that is killed by the system at any moment, and resumed, ends with the weights it would have had."""

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

CONFIG = Path(__file__).parents[2] / "configs" / "tiny" / "fpn_freqfusion.yaml"
OPTIONS = {"trainer.max_epochs": 12, "run.checkpoint_every": 1, "trainer.enable_progress_bar": "false"}
KILLS = 2
PATIENCE = 120


def start(run, *arguments):
    """A process that trains in the folder ``run``."""
    options = [text for name, value in OPTIONS.items() for text in (f"--{name}", str(value))]
    command = [
        sys.executable,
        "-m",
        "dealias.cli",
        "fit",
        "--config",
        CONFIG,
        "--run.directory",
        run,
        *options,
        *arguments,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process):
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors


def kill(process, checkpoint, saves, delay):
    """Kill a training ``delay`` seconds after it has saved its checkpoint so many times."""
    stamp, deadline = modified(checkpoint), time.monotonic() + PATIENCE
    while saves:
        assert process.poll() is None, f"ended before the kill: {process.stderr.read()}"
        assert time.monotonic() < deadline
        time.sleep(0.001)
        if modified(checkpoint) != stamp:
            stamp, saves = modified(checkpoint), saves - 1
    time.sleep(delay)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def modified(path):
    return path.stat().st_mtime_ns if path.exists() else None


def history(run):
    with (run / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "train/seconds_per_step"} for row in csv.DictReader(file)]


@pytest.mark.slow
def test_a_killed_and_resumed_training_equals_an_uninterrupted_one(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    last = killed / "checkpoints" / "last.ckpt"
    moments, steps = random.Random(0), []
    for number in range(KILLS):
        process = start(killed, *(["--ckpt_path", "last"] if number else []))
        kill(process, last, saves=moments.randint(2, 8), delay=moments.uniform(0, 0.1))
        steps.append(torch.load(last, weights_only=True)["global_step"])  # whole, whenever the kill came
    finish(start(killed, "--ckpt_path", "last"))
    finish(start(whole))

    found, expected = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (killed, whole))
    assert 0 < steps[0] < steps[1] < found["global_step"] == expected["global_step"] == 24
    assert found["state_dict"].keys() == expected["state_dict"].keys()
    for name, tensor in expected["state_dict"].items():
        assert torch.equal(found["state_dict"][name], tensor), name
    assert repr(found["dealias"]) == repr(expected["dealias"])  # the scores, in which nan equals nan
    assert history(killed) == history(whole)
