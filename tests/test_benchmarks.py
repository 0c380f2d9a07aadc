# SPDX-License-Identifier: Apache-2.0
"""The benchmark runner: its gate, its memory count and what it records. Speed itself is not tested."""

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
CPU = torch.device("cpu")
MIB = 2**20


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a script of the folder by name; they see each other as top-level modules, here only during the test."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("KINETO_LOG_LEVEL", "99")
    for path in FOLDER.glob("*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)

    def load(name: str) -> ModuleType:
        return import_module(name)

    yield load
    for path in FOLDER.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_forms_that_differ_are_not_timed(bench: Any) -> None:
    cases, rows = bench("cases"), bench("rows")
    x = torch.linspace(-1, 1, 10, requires_grad=True)

    def problem(theirs: Any) -> Any:
        return cases.Problem((x,), {"dealias": lambda: (x.square(),), "peer": lambda: (theirs(x),)})

    case = cases.Case("area", "name", lambda device: problem(lambda x: x * x))
    assert rows.largest_difference(case, problem(lambda x: x * x)) < 1e-6
    with pytest.raises(rows.FormsDiffer, match="output 0: peer"):
        rows.largest_difference(case, problem(lambda x: x.square() + 1e-3))
    with pytest.raises(rows.FormsDiffer, match="gradient 0: peer"):
        rows.largest_difference(case, problem(lambda x: x.square().detach() + 0 * x))


def test_memory_is_the_most_held_at_once(bench: Any) -> None:
    def two_then_one() -> torch.Tensor:
        first = torch.ones(MIB // 4)
        both = first + torch.ones(MIB // 4)
        del first
        return both[:1].clone()

    peak = bench("measure").peak_extra_bytes(two_then_one, CPU)
    assert 3 * MIB <= peak < 3.1 * MIB


def test_ratio_is_taken_within_turns(bench: Any) -> None:
    assert bench("measure").ratio([2.0, 40.0, 6.0], [1.0, 10.0, 3.0])["median"] == pytest.approx(2)


def test_a_run_records_every_case_of_an_area(bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    results = bench("results")
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(bench("run"), "copy_bandwidth", lambda device: 1e10)
    arguments = ["--device", "cpu", "--area", "kernel_normalize", "--seconds", "0.01"]
    assert bench("run").main(arguments) == 0
    recorded = json.loads(results.results_path("kernel_normalize", CPU).read_text())
    assert [row["direction"] for row in recorded["rows"]] == ["forward", "with backward"]
    forward = recorded["rows"][0]
    map_bytes = 25 * 128 * 128 * 4
    assert forward["least_bytes"] == 2 * map_bytes
    assert forward["peak_extra_bytes"]["dealias"] >= map_bytes
    assert forward["share_of_copy_bandwidth"] == pytest.approx(
        2 * map_bytes / forward["median_seconds"]["dealias"] / 1e10
    )
    assert recorded["circumstances"]["threads"] == torch.get_num_threads()
