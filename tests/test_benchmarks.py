# SPDX-License-Identifier: Apache-2.0
"""The benchmark runner: its gate, its memory count and what it records. Speed itself is not tested."""

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import nn

from dealias.filters import create_prefilter
from dealias.mixing import create_mixer
from dealias.testing import assert_close

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


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_complex_spectra_agree_with_our_filter_and_mixer(bench: Any, dtype: torch.dtype, released: bool) -> None:
    cases, rows = bench("cases"), bench("rows")
    case = cases.Case("area", "name", lambda device: None)
    assert rows.largest_difference(case, cases.filtering(CPU, 6, 20, dtype, released)) < 1e-2
    assert 0 < rows.largest_difference(case, cases.mixing(CPU, 32, 20, released)) < 1e-5


def test_networks_run_on_complex_spectra_for_a_while(bench: Any) -> None:
    spectra, x = bench("spectra"), torch.randn(1, 8, 6, 6)
    network = nn.Sequential(create_prefilter("daf", 8, released=True), create_mixer("freqmix", 8))
    with patch.object(spectra, "shifted_spectrum", wraps=spectra.shifted_spectrum) as transform:
        with spectra.instead_of_ours():
            other = network(x)
        assert transform.call_count == 2
        assert_close(network(x), other)
        assert transform.call_count == 2


def test_a_network_is_timed_beside_the_plain_one_forward_only(bench: Any) -> None:
    cases, rows = bench("cases"), bench("rows")
    x = torch.ones(4)
    plain = cases.Problem((x,), {"dealias": lambda: (x,)})
    problem = cases.Problem((x,), {"dealias": lambda: (x + 1,), "peer": lambda: (1 + x,)}, backward=False, plain=plain)
    (row,) = rows.measure_case(cases.Case("area", "name", lambda device: problem), CPU, 0.01, 1e10)
    assert row["direction"] == "forward" and set(row["ratio"]) == {"peer"}
    assert set(row["times_plain"]) == {"dealias", "peer"}
    assert row["times_plain"]["dealias"]["median"] > 0 and set(row["peak_extra_bytes"]) == {"dealias", "peer"}


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
