# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from dealias.report.outcome import METRICS, write_outcome


def write_run(folder, score):
    folder.mkdir(parents=True)
    scores = dict.fromkeys(METRICS, score) | {"DErr": None, "IoU": [score, None]}
    results = {"command": "compare", "band": 3, "classes": ["a", "b"], "parameters": 10, "steps": 4, "seconds": 1.0}
    (folder / "metrics.json").write_text(json.dumps({**results, "seconds_per_step": 0.25, "scores": {"val": scores}}))
    return folder


@pytest.fixture
def runs(tmp_path):
    return {
        variant: [
            write_run(tmp_path / "out" / "runs" / f"{number}-{seed}", 0.5 + 0.1 * number + 0.02 * seed)
            for seed in (0, 1)
        ]
        for number, variant in enumerate(("bilinear", "bilinear + daf"))
    }


def test_the_json_says_where_the_runs_are_and_which_end_is_better(runs, tmp_path):
    out = tmp_path / "out"
    write_outcome(out, runs, {"settings": {"steps": 4}, "environment": {}})
    data = json.loads((out / "comparison.json").read_text())
    assert (data["format"], data["version"], data["settings"]) == ("dealias comparison", 1, {"steps": 4})
    assert data["lower_is_better"] == ["FErr", "MErr", "DErr"] and data["metrics"] == list(METRICS)
    assert data["baseline"] == "bilinear" and data["seeds"] == [0, 1]
    for run in data["runs"]:
        stored = json.loads((out / run["folder"] / "metrics.json").read_text())
        assert {key: run[key] for key in stored} == stored
        assert out / run["folder"] == runs[run["variant"]][run["seed"]]
    difference = data["variants"][1]["differences"]["mIoU"]
    assert difference["mean"] == pytest.approx(0.1) and difference["within_spread"] is False
    assert data["variants"][1]["scores"]["DErr"]["mean"] is None and np.isclose(
        data["variants"][0]["scores"]["mIoU"]["sd"], 0.02 / 2**0.5
    )


def test_without_pictures_there_is_no_gallery(runs, tmp_path):
    write_outcome(tmp_path / "out", runs, {})
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"comparison.json", "comparison.md", "comparison.csv", "runs"}


def test_a_run_elsewhere_is_refused(runs, tmp_path):
    runs["bilinear"][1] = write_run(tmp_path / "elsewhere", 0.5)
    with pytest.raises(ValueError, match=r"elsewhere.*out"):
        write_outcome(tmp_path / "out", runs, {})
