# SPDX-License-Identifier: Apache-2.0
"""``dealias fit`` that is stopped at random moments, and resumed, ends with the weights that it would have had.

``DEALIAS_KILLS=50`` stops it 50 times, in turn by each of the faults.
"""

import csv
import json
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

CONFIG = Path(__file__).parents[2] / "configs" / "tiny" / "fpn_freqfusion.yaml"
KILLS = int(os.environ.get("DEALIAS_KILLS", "4"))
INTERVAL = 3
OPTIONS = {
    "trainer.max_epochs": 3 * KILLS + 2,
    "trainer.enable_progress_bar": "false",
    "trainer.enable_model_summary": "false",
    "run.checkpoint_every": INTERVAL,
    "run.pictures": 1,
}
PATIENCE = 120
LIMIT = 100_000
"""Bytes: files of text are smaller, checkpoints are not."""

SERVER = multiprocessing.get_context("forkserver")
"""Starts processes from one that has imported what takes seconds."""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and prlimit")]


def train(errors, arguments):
    """What a process does; its messages go to a file."""
    from dealias.cli import main

    multiprocessing.set_start_method("fork", force=True)  # of readers, as where no server is
    torch.set_num_threads(1)
    for stream, target in ((1, os.devnull), (2, errors)):
        os.dup2(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.exit(main(arguments))


@pytest.fixture(autouse=True)
def _end_all():
    yield
    for process in multiprocessing.active_children():
        process.kill()


def start(run, workers=1):
    """A process that trains in the folder ``run``, from its last checkpoint if it has one."""
    last = ["--ckpt_path", "last"] if (run / "checkpoints" / "last.ckpt").is_file() else []
    options = [text for name, value in OPTIONS.items() for text in (f"--{name}", str(value))]
    folder = ["--run.directory", str(run), "--data.workers", str(workers)]
    if not last and run.exists():  # stopped before its first checkpoint
        (run / "config.yaml").unlink(missing_ok=True)
    process = SERVER.Process(
        target=train, args=(run.with_suffix(".txt"), ["fit", "--config", str(CONFIG), *folder, *options, *last])
    )
    process.start()
    return process


def by_signal(number):
    return lambda process: os.kill(process.pid, number)


def by_killing_a_reader(process):
    """As the system does when memory runs out."""
    readers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    for reader in readers:
        if Path(f"/proc/{reader}/cmdline").read_bytes() == command:
            return os.kill(int(reader), signal.SIGKILL)
    process.kill()  # it reads nothing yet


def by_a_full_disk(process):
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))


FAULTS = {
    "SIGKILL": by_signal(signal.SIGKILL),
    "a full disk": by_a_full_disk,
    "SIGTERM": by_signal(signal.SIGTERM),
    "a killed reader": by_killing_a_reader,
}
SAYS = {"a full disk": "MiB are free", "a killed reader": "DataLoader worker"}
"""What a process says that ends by itself."""


def stop(process, run, fault, moments):
    """Let a fault happen at a random moment, most often shortly after one of the next saves."""
    last = run / "checkpoints" / "last.ckpt"
    saves, deadline, stamp = moments.randint(0, 3), time.monotonic() + PATIENCE, modified(last)
    delay = moments.uniform(0, 0.2 if saves else 2)
    while saves:
        assert process.is_alive(), f"ended before the fault: {run.with_suffix('.txt').read_text()}"
        assert time.monotonic() < deadline
        time.sleep(0.001)
        if modified(last) != stamp:
            stamp, saves = modified(last), saves - 1
    time.sleep(delay)
    assert process.is_alive(), f"ended before the fault: {run.with_suffix('.txt').read_text()}"
    FAULTS[fault](process)
    process.join(PATIENCE)
    assert process.exitcode is not None, f"hangs after {fault}"
    assert process.exitcode in (-signal.SIGKILL, -signal.SIGTERM, 2, 130), run.with_suffix(".txt").read_text()
    return process.exitcode


def modified(path):
    return path.stat().st_mtime_ns if path.exists() else None


def check_files(run):
    """All files that have their final names are whole, and no more steps are lost than were to be."""
    readers = {".json": json.load, ".yaml": yaml.safe_load}
    for path in (path for path in run.rglob("*.*") if not path.name.startswith(".")):
        if path.suffix in readers:
            with path.open() as file:
                readers[path.suffix](file)
        elif path.suffix == ".ckpt":
            torch.load(path, weights_only=True)
        elif path.suffix == ".png":
            Image.open(path).load()
    last = run / "checkpoints" / "last.ckpt"
    saved = torch.load(last, weights_only=True)["global_step"] if last.is_file() else 0
    done = max((int(row["step"]) + 1 for row in history(run)), default=0)
    assert saved > done - INTERVAL


def history(run):
    if not (run / "metrics.csv").is_file():
        return []
    with (run / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "train/seconds_per_step"} for row in csv.DictReader(file)]


def test_a_stopped_and_resumed_training_equals_an_uninterrupted_one(tmp_path):
    SERVER.set_forkserver_preload(["dealias.train.commands", "dealias.models"])
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    moments = random.Random(0)
    for number in range(KILLS):
        fault = list(FAULTS)[number % len(FAULTS)]
        readers = 0 if fault == "a full disk" else 1  # the limit would be that of shared memory too
        code = stop(start(stopped, readers), stopped, fault, moments)
        check_files(stopped)
        if code == 2:
            message = stopped.with_suffix(".txt").read_text()
            assert SAYS[fault] in message and ("resume with" in message or "no checkpoint yet" in message)
    for run in (stopped, whole):
        process = start(run)
        process.join(10 * PATIENCE)
        assert process.exitcode == 0, run.with_suffix(".txt").read_text()

    for which in ("last", "best"):
        found, expected = (
            torch.load(run / "checkpoints" / f"{which}.ckpt", weights_only=True) for run in (stopped, whole)
        )
        assert found["global_step"] == expected["global_step"]
        assert found["state_dict"].keys() == expected["state_dict"].keys()
        for name, tensor in expected["state_dict"].items():
            assert torch.equal(found["state_dict"][name], tensor), name
        assert repr(found["dealias"]) == repr(expected["dealias"])  # the scores, in which nan equals nan
    assert history(stopped) == history(whole)
    assert not list(stopped.rglob(".*.part"))
