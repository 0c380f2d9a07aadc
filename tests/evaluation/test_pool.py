# SPDX-License-Identifier: Apache-2.0
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
import torch

from dealias.evaluation.pool import run_chunks

HELPERS = """
import os, time, torch
from pathlib import Path

def tell(items):
    return os.getpid(), torch.get_num_threads(), list(items)

def slow_first(items):
    time.sleep(0.3 if 0 in items else 0)
    return list(items)

def fail_on_five(items):
    if 5 in items:
        raise ValueError("five is bad")
    return items

def die_on_five(items):
    if 5 in items:
        os._exit(9)
    return items

def touch_for_ever(folder, items):
    while True:
        (Path(folder) / str(os.getpid())).touch()
        time.sleep(0.05)
"""


@pytest.fixture
def helpers(tmp_path, monkeypatch):
    (tmp_path / "pool_helpers.py").write_text(HELPERS)
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module("pool_helpers")
    sys.modules.pop("pool_helpers")


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_once_in_order(helpers, workers):
    results = []
    run_chunks(helpers.tell, range(50), workers, lambda result, length: results.append((*result, length)))
    assert [item for _, _, items, _ in results for item in items] == list(range(50))
    assert all(len(items) == length <= 8 for _, _, items, length in results)
    assert {threads for _, threads, _, _ in results} == {1}
    processes = {process for process, _, _, _ in results}
    assert (processes == {os.getpid()}) if workers == 1 else os.getpid() not in processes


@pytest.mark.parametrize("workers", [1, 2])
def test_work_ends_where_its_result_says_so(helpers, workers):
    found = []

    def add(items, length):
        found.extend(items)
        return 20 in items

    run_chunks(helpers.slow_first, range(200), workers, add)
    assert found == list(range(24))


def test_results_of_a_slow_chunk_are_not_overtaken(helpers):
    found = []
    run_chunks(helpers.slow_first, range(8), 2, lambda items, _: found.extend(items))
    assert found == list(range(8))


def test_threads_are_put_back(helpers):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ValueError, match="five is bad"):
            run_chunks(helpers.fail_on_five, range(8), 1, lambda *_: None)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_errors_of_workers_are_raised(helpers):
    with pytest.raises(ValueError, match="five is bad"):
        run_chunks(helpers.fail_on_five, range(30), 2, lambda *_: None)


def test_a_killed_worker_is_noticed(helpers):
    with pytest.raises(ChildProcessError, match=r"worker process was killed.*fewer --workers"):
        run_chunks(helpers.die_on_five, range(30), 2, lambda *_: None)


def test_no_workers():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        run_chunks(len, [1], 0, lambda *_: None)


def test_workers_end_with_a_killed_parent(helpers, tmp_path):
    (tmp_path / "alive").mkdir()
    script = tmp_path / "main.py"
    script.write_text(
        "from functools import partial\n"
        "import pool_helpers\n"
        "from dealias.evaluation.pool import run_chunks\n"
        "if __name__ == '__main__':\n"
        f"    run_chunks(partial(pool_helpers.touch_for_ever, {str(tmp_path / 'alive')!r}), range(8), 2, print)\n"
    )
    parent = subprocess.Popen([sys.executable, script], env={**os.environ, "PYTHONPATH": str(tmp_path)})
    try:
        wait_for(lambda: len(list((tmp_path / "alive").iterdir())) == 2)
    finally:
        parent.kill()
        parent.wait()
    workers = [int(path.name) for path in (tmp_path / "alive").iterdir()]
    wait_for(lambda: not any(is_running(worker) for worker in workers))


def test_an_interrupt_is_for_the_parent_alone(tmp_path):
    (tmp_path / "slow_import.py").write_text(
        "import time\n"
        "from pathlib import Path\n"
        "Path(__file__).with_name('begun').touch()\n"
        "time.sleep(1)\n"
        "def list_of(items):\n"
        "    return list(items)\n"
    )
    script = tmp_path / "main.py"
    script.write_text(
        "import signal, time\n"
        "from dealias.evaluation.pool import begin_import, run_chunks\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # background jobs of a shell begin without it
        "    begin_import('slow_import')\n"
        "    try:\n"
        "        time.sleep(60)\n"
        "    except KeyboardInterrupt:\n"
        "        import slow_import\n"
        "        run_chunks(slow_import.list_of, range(8), 2, lambda items, length: print(*items))\n"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, script], env=environment, start_new_session=True, **pipes)
    wait_for((tmp_path / "begun").exists)
    os.killpg(parent.pid, signal.SIGINT)
    out, errors = parent.communicate(timeout=60)
    assert out.split() == [str(number) for number in range(8)] and errors == ""


def is_running(process):
    stat = Path(f"/proc/{process}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition):
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("waited for a minute")
