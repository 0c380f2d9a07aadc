# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from dealias.experiments.pool import JobError, run_jobs

HELPERS = """
import os, time, torch
from pathlib import Path

def square(job, report):
    report(0.5)
    folder, number = job
    Path(folder, str(number)).write_text(f"{number ** 2} {os.getpid()} {torch.get_num_threads()}")

def fail_on_two(job, report):
    if job[1] == 2:
        raise ValueError("two is bad")
    square(job, report)

def die_on_one(job, report):
    if job[1] == 1:
        os._exit(9)
    time.sleep(30)

def touch_for_ever(job, report):
    while True:
        Path(job).write_text(str(os.getpid()))
        time.sleep(0.05)
"""


@pytest.fixture
def helpers(tmp_path, monkeypatch):
    (tmp_path / "pool_helpers.py").write_text(HELPERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    import pool_helpers

    yield pool_helpers
    sys.modules.pop("pool_helpers")


def record(events):
    return {
        "on_progress": lambda *event: events.append(event),
        "on_done": lambda position: events.append((position, "done")),
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_is_done_once_and_told(workers, helpers, tmp_path):
    jobs = [(str(tmp_path), number) for number in range(4)]
    events = []
    run_jobs(helpers.square, jobs, workers, threads=1, **record(events))
    results = [(tmp_path / str(number)).read_text().split() for number in range(4)]
    assert [int(value) for value, _, _ in results] == [0, 1, 4, 9]
    assert {threads for _, _, threads in results} == {"1"}
    apart = {int(pid) for _, pid, _ in results} - {os.getpid()}
    assert len(apart) <= 2 if workers == 2 else not apart
    for position in range(4):
        assert [event[1] for event in events if event[0] == position] == [0.0, 0.5, "done"]


def test_the_number_of_threads_is_given_back(helpers, tmp_path):
    before = torch.get_num_threads()
    run_jobs(helpers.square, [(str(tmp_path), 0)], 1, threads=before + 1, **record([]))
    assert torch.get_num_threads() == before
    assert (tmp_path / "0").read_text().endswith(f" {before + 1}")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_job_is_named_with_its_reason(workers, helpers, tmp_path):
    with pytest.raises(JobError, match="two is bad") as failure:
        run_jobs(helpers.fail_on_two, [(str(tmp_path), number) for number in range(3)], workers, 1, **record([]))
    assert failure.value.position == 2


def test_a_dying_worker_stops_the_others(helpers, tmp_path):
    start = time.monotonic()
    with pytest.raises(JobError, match="exit code 9") as failure:
        run_jobs(helpers.die_on_one, [(str(tmp_path), number) for number in range(2)], 2, 1, **record([]))
    assert failure.value.position == 1
    assert time.monotonic() - start < 25


def test_workers_end_with_a_killed_parent(helpers, tmp_path):
    script = (
        "from dealias.experiments.pool import run_jobs\nimport pool_helpers, sys\n"
        "if __name__ == '__main__':\n"
        "    run_jobs(pool_helpers.touch_for_ever, sys.argv[1:], 2, 1, lambda *event: None, lambda position: None)\n"
    )
    (tmp_path / "parent.py").write_text(script)
    files = [tmp_path / "a", tmp_path / "b"]
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py", *files])
    wait_until(lambda: all(file.is_file() and file.read_text() for file in files))
    pids = [int(file.read_text()) for file in files]
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(alive(pid) for pid in pids))


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def alive(pid):
    status = Path(f"/proc/{pid}/status")
    return status.is_file() and "State:\tZ" not in status.read_text()
