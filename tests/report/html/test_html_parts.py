# SPDX-License-Identifier: Apache-2.0
import csv
import math

import numpy as np
import pytest

from dealias.report.comparison import RunResult, compare_runs
from dealias.report.html.chapters import Run
from dealias.report.html.charts import (
    BAR_WIDTH,
    LINE_HEIGHT,
    LINE_LEFT,
    LINE_TOP,
    LINE_WIDTH,
    bar_chart,
    line_chart,
    nice_ticks,
)
from dealias.report.html.curves import load_training
from dealias.report.html.errors import error_kinds
from dealias.report.html.image_tables import image_table
from dealias.report.html.numbers import UNKNOWN
from dealias.report.html.verdict import verdict
from dealias.report.statistics import Summary


def compared(scores, seconds=(0.1, 0.2, 0.3), metrics=("mIoU", "DErr")):
    """``scores``: by variant, a row of metrics for each seed."""
    runs = [
        RunResult(name, seed, dict(zip(metrics, row, strict=True)), 1000, seconds[order], 10)
        for order, (name, rows) in enumerate(scores.items())
        for seed, row in enumerate(rows)
    ]
    return compare_runs(runs, tuple(scores), metrics)


BASE = [(0.700, 0.30), (0.710, 0.31), (0.690, 0.32)]
UP = [(0.720, 0.25), (0.731, 0.26), (0.709, 0.27)]
NOISE = [(0.710, 0.31), (0.700, 0.30), (0.691, 0.33)]
DOWN = [(0.650, 0.35), (0.661, 0.36), (0.639, 0.37)]


def test_verdict_names_what_is_better_worse_and_not_resolved():
    sentences = verdict(compared({"plain": BASE, "sharp": UP, "same": NOISE}), True, "validation")
    assert sentences == [
        "sharp (+2.0 ± 0.1 points mIoU) is better than the baseline, plain, by more than the seeds spread.",
        "Over 3 paired seeds, plain has 70.0 ± 1.0 % mIoU on the validation images.",
        "The difference of same (+0.0 ± 1.0 points mIoU) lies within the spread: "
        "these seeds do not tell whether there is any.",
        "Near edges, sharp improves DErr, again by more than the seeds spread.",
        "A training step of sharp takes 2.0 times as long as one of plain.",
    ]
    sentences = verdict(compared({"plain": BASE, "blurred": DOWN}), True, "test")
    assert sentences[0].startswith("No variant is better than the baseline, plain,")
    assert sentences[2].startswith("blurred (\N{MINUS SIGN}5.0 ± 0.1 points mIoU) is worse than the baseline")
    assert len(sentences) == 3


def test_verdict_of_many_variants_names_three():
    scores = {f"v{order}": [(row[0] + 0.01 * order, row[1]) for row in BASE] for order in range(6)}
    first = verdict(compared(scores, seconds=[0.1] * 6), True, "validation")[0]
    assert first.startswith("v5 (+5.0 ± 0.0 points mIoU), v4 (+4.0 ± 0.0), v3 (+3.0 ± 0.0) and 2 more are better")


def test_verdict_claims_no_more_than_it_can():
    one = {name: rows[:1] for name, rows in {"plain": BASE, "sharp": UP}.items()}
    assert verdict(compared(one), True, "validation") == [
        "sharp has the highest mIoU on the validation images: 72.0 %.",
        "Its difference to the baseline, plain, is +2.0 points.",
        "With one seed it cannot be said whether this is more than chance; more seeds would tell.",
    ]
    assert "not paired" in verdict(compared(one), False, "test")[1]
    assert verdict(compared({"plain": BASE}), True, "test") == [
        "plain reaches 70.0 ± 1.0 % mIoU on the test images, over 3 seeds."
    ]
    unknown = compared({"plain": [(math.nan, 0.1)]})
    assert verdict(unknown, False, "test") == ["plain has no mIoU on the test images."]
    equal = compared({"plain": BASE[:1], "twin": BASE[:1]})
    assert verdict(equal, True, "test")[0] == "All reach 70.0 % mIoU on the test images."


def test_error_kinds_by_a_pixel_loop():
    random = np.random.default_rng(0)
    truth = np.kron([[0, 1, 2], [1, 2, 0]], np.ones((9, 9))).astype(np.uint8)
    prediction = np.where(random.random(truth.shape) < 0.02, 2, np.roll(truth, 1, axis=1)).astype(np.uint8)
    prediction[:, :18] = 0  # two blocks are lost
    prediction[3:5, 2:9] = 1
    truth[:3, :3] = 255
    found, reach = error_kinds(prediction, truth, 255, band=3), 1

    def is_near_edge(labels, y, x):
        height, width = labels.shape
        for v in range(max(0, y - reach), min(height, y + reach + 1)):
            for u in range(max(0, x - reach), min(width, x + reach + 1)):
                around = [(v - 1, u), (v + 1, u), (v, u - 1), (v, u + 1)]
                if any(labels[v, u] != labels[q, p] for q, p in around if 0 <= q < height and 0 <= p < width):
                    return True
        return False

    seen = set()
    for y, x in np.ndindex(*truth.shape):
        near = is_near_edge(prediction, y, x), is_near_edge(truth, y, x)
        kind = {(True, False): 1, (False, True): 2, (True, True): 3, (False, False): 4}[near]
        right = prediction[y, x] == truth[y, x] or truth[y, x] == 255
        assert found[y, x] == (0 if right else kind)
        seen.add(found[y, x])
    assert seen == {0, 1, 2, 3, 4}


def test_bars_are_as_long_as_their_scores():
    scores = {"plain": Summary(0.25, 0.05, 3), "sharp": Summary(0.5, None, 1), "none": Summary(math.nan, None, 0)}
    chart = bar_chart("pole", scores, top=1.0, lower_is_better=False, paired=True)
    assert [bar.width for bar in chart.bars] == [BAR_WIDTH / 4, BAR_WIDTH / 2, 0]
    assert chart.bars[0].whiskers == pytest.approx((0.2 * BAR_WIDTH, 0.3 * BAR_WIDTH))
    assert [bar.is_best for bar in chart.bars] == [False, True, False]
    assert [bar.text for bar in chart.bars] == ["25.0", "50.0", UNKNOWN]
    assert chart.reference == BAR_WIDTH / 4 and "sharp 50.0 %" in chart.description
    assert bar_chart("", scores, 1.0, True, paired=False).bars[0].is_best


def test_lines_fill_the_frame_and_the_mean_lies_between_the_seeds():
    runs = {"plain": [{0: 0.0, 10: 1.0}, {0: 0.5, 10: 1.5, 20: 4.0}], "none": [], "late": [{20: 2.0}]}
    chart = line_chart("loss", "step", runs)
    left, right, bottom, top = LINE_LEFT, LINE_LEFT + LINE_WIDTH, LINE_TOP + LINE_HEIGHT, LINE_TOP
    assert [(line.name, line.series) for line in chart.lines] == [("plain", 0), ("late", 2)]
    middle = (left + right) / 2
    assert (
        chart.lines[0].mean == f"M{left} {bottom - LINE_HEIGHT / 16:.1f}L{middle:g} {bottom - LINE_HEIGHT * 5 / 16:.1f}"
    )
    assert chart.lines[0].seeds[1].endswith(f"L{right} {top}")
    assert chart.y_ticks[0] == (bottom, "0") and chart.y_ticks[-1] == (top, "4")
    assert "plain 1.25, late 2" in chart.description
    assert line_chart("loss", "step", {"plain": [{3: 1.0}], "late": [{4: 2.0}, {5: 2.5}]}) is None
    assert [text for _, text in line_chart("", "", {"a": [{1: 0.0, 3: 0.0}]}).x_ticks] == ["1", "2", "3"]
    level = line_chart("", "", {"a": [{1: 0.0, 3: 0.0}]})
    assert level.lines[0].mean == f"M{left} {bottom}L{right} {bottom}" and level.y_ticks[-1] == (top, "1.0")
    assert [text for _, text in line_chart("", "", {"a": [{0: 0.9, 1: 1.3}]}).y_ticks] == [
        "0.9",
        "1.0",
        "1.1",
        "1.2",
        "1.3",
    ]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (3, 4000), (-0.02, 0.013), (1e-9, 3e-9), (0.1, 0.3)])
def test_ticks_are_round_and_inside(low, high):
    ticks = nice_ticks(low, high)
    steps = np.diff(ticks)
    assert 2 <= len(ticks) <= 6 and np.allclose(steps, steps[0])
    assert low - 1e-12 <= ticks[0] and ticks[-1] <= high * (1 + 1e-9)
    mantissa = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9)
    assert min(abs(mantissa - round_number) for round_number in (1, 2, 5)) < 1e-6


def test_long_histories_are_averaged_over_the_same_steps(tmp_path):
    runs = []
    for seed in range(2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        with (folder / "metrics.csv").open("w", newline="") as file:
            rows = ((step, step + seed if step != 7 else "nan", "") for step in range(1, 3001))
            csv.writer(file).writerows([("step", "train/loss", "val/mIoU"), *rows])
        runs.append(Run("plain", seed, (), (), 3, folder))
    [chart] = load_training({"plain": runs, "gone": [Run("gone", 0, (), (), 3, None)]}).charts
    line = chart.lines[0]
    points = np.array([point.split() for point in line.mean[1:].split("L")], float)
    assert len(points) == 150 and not line.markers
    middles, values = (points[:, 0] - points[0, 0]) / LINE_WIDTH, points[:, 1]
    assert np.allclose(np.diff(middles), np.diff(middles)[0], atol=1e-3)
    assert np.allclose(np.diff(values), np.diff(values)[1], atol=0.25)  # a straight line stays one


def test_image_tables_mark_both_ends_and_keep_them():
    random = np.random.default_rng(0)
    scores = {f"{n:03}": {"mIoU": random.random(), "DErr": random.random()} for n in range(200)}
    scores["050"]["mIoU"] = math.nan
    table = image_table("plain", scores, ["050", "100"])
    values = np.array([[of["mIoU"], of["DErr"]] for of in scores.values()])
    kept = {row.name for row in table.rows}
    for column, (best, worst) in enumerate(((np.nanargmax, np.nanargmin), (np.nanargmin, np.nanargmax))):
        marks = {row.cells[column].mark: row.name for row in table.rows}
        assert marks["best"] == f"{best(values[:, column]):03}" and marks["worst"] == f"{worst(values[:, column]):03}"
        order = np.argsort(values[:, column])[: 199 if column == 0 else 200]
        assert {f"{n:03}" for n in (*order[:5], *order[-5:])} <= kept
    assert len(table.rows) <= 20 and table.total == 200
    few = image_table("plain", {name: scores[name] for name in ("100", "101", "050")}, ["050", "100"])
    assert [(row.name, row.position) for row in few.rows] == [("100", 1), ("101", None), ("050", 0)]
    assert few.rows[2].cells[0].text == UNKNOWN
