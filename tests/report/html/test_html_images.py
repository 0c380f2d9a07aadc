# SPDX-License-Identifier: Apache-2.0
"""Which images the page shows, why, and the scores of all others; and what it leaves out where there is little."""

import csv
import html
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from dealias.report.html import write_report
from dealias.report.html.errors import error_kinds
from dealias.report.image_scores import read_image_scores
from dealias.report.pictures import load_pictures, save_pictures


@pytest.fixture
def folder(make_comparison, tmp_path):
    return make_comparison(tmp_path / "out", seeds=1)


def page(*folders, out):
    return html.unescape(re.sub(r"data:image/\w+;base64,[\w+/=]+", "", write_report(folders, out).read_text()))


def shown(text):
    return re.findall(r'<h3 id="c1-image-\d+-name">(.*?)</h3>', text)


def rows(text, table):
    """Names and scores of the images in a table."""
    body = text.partition(f'id="c1-ranks-{table}"')[2].partition("<tbody>")[2].partition("</tbody>")[0]
    lines = re.findall(r"<tr>(.*?)</tr>", body)
    return {
        re.sub("<.*?>", "", line.partition("</th>")[0]): [
            float(value) for value in re.findall(r'data-value="(.*?)"', line)
        ]
        for line in lines
    }


def rename(run, number, name):
    """Give a picture of a run another name, so that other runs do not have it."""
    path = run / "pictures" / "pictures.json"
    index = json.loads(path.read_text())
    index["samples"][number]["name"] = name
    path.write_text(json.dumps(index))


def test_reasons_stand_by_the_pictures_and_lead_to_them(folder, tmp_path):
    text = page(folder, out=tmp_path / "page.html")
    assert re.findall(r'<p class="why">(.*?)</p>', text) == ["evenly spaced"] * 2 + ["lowest mIoU · highest FErr"]
    assert '<a href="#c1-image-3">lowest mIoU</a>' in text and '<a href="#c1-image-3">highest FErr</a>' in text
    assert "3 of 40 images." in text


def test_the_ends_are_those_of_all_images_with_the_worst_first(folder, tmp_path):
    text = page(folder, out=tmp_path / "page.html")
    for number, variant in enumerate(("bilinear", "carafe", "freqfusion"), start=1):
        scores = read_image_scores(folder / "runs" / f"{variant}-seed0" / "images_val.csv")
        found, ranked = rows(text, number), sorted(scores, key=lambda name: scores[name]["mIoU"])
        assert list(found)[:5] == ranked[:5] and list(found)[-5:] == ranked[-5:]
        worst = max(scores, key=lambda name: scores[name]["DErr"])
        assert found[worst][5] == scores[worst]["DErr"]
    assert "Of 40 images those that are among the five best or worst" in text


def test_runs_show_what_they_have_in_common(make_run, tmp_path):
    runs = [make_run(tmp_path / name, gain) for name, gain in (("one", 0.0), ("two", 0.05), ("three", 0.1))]
    rename(runs[1], 2, "elsewhere")
    for number in range(3):
        rename(runs[2], number, f"other {number}")
    text = page(*runs, out=tmp_path / "page.html")
    assert shown(text) == ["scene 0", "scene 1"] and "Without pictures of these images: three." in text
    assert len(rows(text, 3)) > 10, "its scores are there all the same"


def test_the_first_run_with_pictures_decides(make_run, tmp_path):
    runs = [make_run(tmp_path / name, gain) for name, gain in (("one", 0.0), ("two", 0.05))]
    (runs[0] / "pictures" / "pictures.json").unlink()
    text = page(*runs, out=tmp_path / "page.html")
    assert shown(text) == ["scene 0", "scene 1", "scene 2"] and "Without pictures of these images: one." in text
    (runs[1] / "pictures" / "pictures.json").unlink()
    text = page(*runs, out=tmp_path / "page.html")
    assert shown(text) == [] and "No pictures." in text and len(rows(text, 1)) > 10


def test_pictures_without_scores_and_scores_of_the_test_set(make_run, tmp_path):
    run = make_run(tmp_path / "run")
    path = run / "metrics.json"
    results = json.loads(path.read_text())
    results["scores"] = {"test": results["scores"]["val"]}
    path.write_text(json.dumps(results))
    text = page(run, out=tmp_path / "page.html")
    assert len(shown(text)) == 3 and "Best and worst images" not in text, "those are scores of other images"
    (run / "images_val.csv").rename(run / "images_test.csv")
    assert "Best and worst images" in page(run, out=tmp_path / "page.html")


def test_errors_are_drawn_by_the_edges_of_the_run(make_run, tmp_path):
    run = make_run(tmp_path / "run")
    truth = np.repeat(np.array([0, 1, 2], np.uint8), [20, 1, 43])[None].repeat(48, 0)  # cancels in a Laplacian of ids
    stored, prediction = load_pictures(run / "pictures"), np.where(truth == 1, np.uint8(0), truth)
    samples = tuple(replace(sample, truth=truth, prediction=prediction) for sample in stored.samples)
    save_pictures(run / "pictures", replace(stored, samples=samples))
    path, found = run / "metrics.json", {}
    results = json.loads(path.read_text())
    for edges in ("exact", "released"):
        path.write_text(json.dumps({**results, "edges": edges, "band": 1}))
        kinds = error_kinds(prediction, truth, 255, 1, edges)
        shares = [f"{100 * (kinds == kind).mean():.1f}" for kind in (1, 2, 3, 4)]
        text = page(run, out=tmp_path / f"{edges}.html")
        found[edges] = re.findall(r'<span class="unseen">\w+ </span>([\d.]+)<', text)[:4]
        assert found[edges] == shares
    assert found["exact"] != found["released"]


def test_a_single_run_is_not_compared_with_itself(make_run, tmp_path):
    text = page(make_run(tmp_path / "run"), out=tmp_path / "page.html")
    assert 'class="chip' not in text and "seed 0" not in text and "What the variants are" not in text
    assert text.count('<figure class="card single') == 2 and "90.0" in text
    assert 'aria-label="ground: run 90.0 %"' in text


def test_variants_are_explained(folder, tmp_path):
    text = page(folder, out=tmp_path / "page.html")
    assert "What the variants are" in text and "<dt>carafe</dt>" in text and "predict" in text


def test_runs_that_were_validated_once_have_no_curve_of_it(folder, tmp_path):
    assert "mIoU on validation" in page(folder, out=tmp_path / "page.html")
    for number, run in enumerate(sorted((folder / "runs").iterdir())):
        lines = [(step, 1 / (1 + step), "") for step in range(9, 60 + number, 10)]
        with (run / "metrics.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("step", "train/loss", "val/mIoU"), *lines, (60 + number, "", 0.5)])
    text = page(folder, out=tmp_path / "page.html")
    assert "mIoU on validation, %" not in text and "Each run was validated once, after its last step" in text
    assert text.count("<figcaption>Training loss") == 1


def test_titles_name_the_data_and_not_its_place(folder, tmp_path):
    path = folder / "comparison.json"
    data = json.loads(path.read_text())
    for spec, title in {
        "camvid:/some/where": "CamVid",
        "folders:my/streets.yaml": "streets.yaml",
        "scenes:96/64": "synthetic scenes",
        "my own": "my own",
    }.items():
        data["settings"].update(data=spec, steps=None, budget=20.0)
        path.write_text(json.dumps(data))
        text = page(folder, out=tmp_path / "page.html")
        assert f"<h1>fpn with resnet10t on {title}</h1>" in text and "<li>20 s per run</li>" in text
