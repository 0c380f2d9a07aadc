# SPDX-License-Identifier: Apache-2.0
"""Damaged files are read or refused by an error that names the file; ``sweep.py`` reads many more, within limits."""

import subprocess
import sys
from pathlib import Path

import pytest
from readers import READERS, open_target
from target import Reader, Target

COUNT = 100
SLOW = {"training", "checkpoint", "weights", "model", "report-aliasing", "report-similarity"}


@pytest.mark.parametrize("name", READERS)
def test_good_files_are_read_and_damaged_ones_refused(target, name):
    reader = target(name)
    assert {reader.read(file) for file in reader.files} == {"good"}
    results = {number: reader.run(number) for number in range(COUNT // 4 if name in SLOW else COUNT)}
    assert {number: result for number, result in results.items() if result not in ("good", "refused")} == {}
    assert "refused" in results.values()


def test_mutants_are_always_the_same(target, tmp_path):
    again = open_target("labels", tmp_path)
    mutants = [(target("labels").mutant(number), again.mutant(number)) for number in range(20)]
    assert all(first[0].name == second[0].name and first[1] == second[1] for first, second in mutants)


def test_the_sweep_counts():
    script = Path(__file__).with_name("sweep.py")
    done = subprocess.run([sys.executable, script, "options", "--count", "20"], capture_output=True, text=True)
    assert done.returncode == 0 and "options: 20 mutants" in done.stdout and " 0 failed" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError("wrong"), "names no file: ValueError: wrong"),
        (RecursionError("deep"), "RecursionError: deep"),
    ],
)
def test_other_errors_count_as_failures(tmp_path, error, result):
    def fail(folder, file):
        raise error

    assert Target("options", Reader(READERS["options"].write, fail), tmp_path).run(0) == result
