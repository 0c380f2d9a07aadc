# SPDX-License-Identifier: Apache-2.0
import csv
import io
import json
import math

import pytest
from rich.console import Console

from dealias.report.comparison import RunResult, compare_runs
from dealias.report.table import build_table, to_csv, to_markdown, to_rich


def test_comparison_pairs_runs_by_seed_whatever_their_order(comparison):
    assert comparison.seeds == (0, 1, 2)
    baseline, other = comparison.variants
    assert comparison.baseline is baseline and baseline.differences is None
    assert baseline.scores["mIoU"].mean == pytest.approx(0.70) and baseline.scores["mIoU"].sd == pytest.approx(0.01)
    difference = other.differences["mIoU"]
    assert difference.mean == pytest.approx(0.02) and difference.sd == pytest.approx(0.001)
    assert not difference.within_spread and other.differences["DErr"].within_spread


def test_json_holds_everything_with_the_mark(comparison):
    data = json.loads(json.dumps(comparison.to_dict()))
    assert data["baseline"] == "bilinear" and data["seeds"] == [0, 1, 2] and data["metrics"] == ["mIoU", "DErr"]
    baseline, other = data["variants"]
    assert baseline["differences"] is None and baseline["scores"]["DErr"]["mean"] == pytest.approx(0.31)
    assert [other["differences"][metric]["within_spread"] for metric in data["metrics"]] == [False, True]
    assert (other["parameters"], other["seconds_per_step"], other["steps"]) == (1_614_070, 0.18, 200)


def test_markdown(comparison):
    lines = to_markdown(build_table(comparison)).splitlines()
    assert lines[:5] == [
        "| variant | mIoU ↑ | DErr ↓ | params M | s/step | steps |",
        "| :-- | --: | --: | --: | --: | --: |",
        "| bilinear | 70.0 ± 1.0 | 31.0 ± 1.0 | 1.30 | 0.090 | 400 |",
        "| freqfusion | 72.0 ± 1.1 | 30.7 ± 1.5 | 1.61 | 0.180 | 200 |",
        "| freqfusion \u2212 bilinear | +2.0 ± 0.1 | ≈ -0.3 ± 1.5 | +0.31 | x2.00 | -200 |",
    ]
    assert "t = 4.30 (95 %, n = 3)" in lines[-1]


def test_csv_round_trip(comparison):
    rows = list(csv.DictReader(io.StringIO(to_csv(comparison))))
    assert [(row["variant"], row["metric"]) for row in rows] == [
        (variant.name, metric) for variant in comparison.variants for metric in comparison.metrics
    ]
    assert rows[0]["difference"] == "" and rows[0]["within_spread"] == ""
    other = comparison.variants[1]
    for row in rows[2:]:
        difference = other.differences[row["metric"]]
        assert float(row["mean"]) == other.scores[row["metric"]].mean
        assert float(row["difference"]) == difference.mean and float(row["difference_sd"]) == difference.sd
        assert row["within_spread"] == str(difference.within_spread)


def test_terminal_table_fits_80_columns_without_losing_a_number(comparison):
    metrics = ("mIoU", "BIoU", "BAcc", "FErr", "MErr", "DErr")
    runs = [
        RunResult(name, seed, {metric: 0.7 + seed / 100 for metric in metrics}, 1_000_000, 0.1, 400)
        for name in ("bilinear", "carafe", "freqfusion")
        for seed in range(3)
    ]
    text = render(build_table(compare_runs(runs, ("bilinear", "carafe", "freqfusion"), metrics)))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert text.count("71.0") == 18 and text.count("±1.0") == 18 and text.count("≈+0.0") == 12


def test_one_seed_is_said_and_nothing_marked():
    runs = [RunResult(name, 0, {"mIoU": score}, 1, 0.1, 1) for name, score in (("a", 0.5), ("b", 0.5))]
    table = build_table(compare_runs(runs, ("a", "b"), ("mIoU",)))
    assert [row.cells[1] for row in table.rows] == ["50.0", "50.0", "+0.0"]
    assert not any(any(row.muted) for row in table.rows)
    assert "one seed" in table.notes[0] and "≈" not in render(table)


def test_seeds_that_do_not_pair_are_refused():
    runs = [RunResult("a", 0, {}, 1, 1, 1), RunResult("a", 1, {}, 1, 1, 1), RunResult("b", 0, {}, 1, 1, 1)]
    with pytest.raises(ValueError, match=r"'b' has seeds \[0\], the baseline \[0, 1\]"):
        compare_runs(runs, ("a", "b"), ())
    with pytest.raises(ValueError, match="at least one variant"):
        compare_runs([], (), ())


def render(table):
    console = Console(width=80, file=io.StringIO())
    console.print(to_rich(table, "title"))
    return console.file.getvalue()


def test_undefined_scores_are_dashes():
    scores = {"a": (0.5, 0.6), "b": (0.5, math.nan)}
    runs = [RunResult(n, seed, {"DErr": of}, 1, 0.1, 1) for n, both in scores.items() for seed, of in enumerate(both)]
    table = build_table(compare_runs(runs, ("a", "b"), ("DErr",)))
    assert [row.cells[1] for row in table.rows] == ["55.0 ± 7.1", "\N{EN DASH}", "\N{EN DASH}"]
    assert not table.rows[2].muted[1], "nothing is known of it"
