# SPDX-License-Identifier: Apache-2.0
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from dealias.evaluation import LabelFolders, Scoring, evaluate_folders
from dealias.report.html import write_report

METRICS = ("mIoU", "FErr", "MErr", "DErr")


@pytest.fixture(scope="module")
def finished(make_comparison, tmp_path_factory):
    return make_comparison(tmp_path_factory.mktemp("finished") / "out", seeds=1)


@pytest.fixture
def folder(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def change(path, edit):
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))


BROKEN = {
    "no JSON": ("comparison.json", lambda path: path.write_text("{"), "cannot be read as JSON"),
    "another object": ("comparison.json", lambda path: path.write_text("[]"), "found list"),
    "no variants": (
        "comparison.json",
        lambda path: change(path, lambda data: data.pop("variants")),
        "'variants' is missing",
    ),
    "no mIoU": (
        "comparison.json",
        lambda path: change(path, lambda data: data["variants"][0]["scores"].pop("mIoU")),
        "'mIoU' is missing",
    ),
    "a word": (
        "comparison.json",
        lambda path: change(path, lambda data: data["variants"][1]["scores"]["mIoU"].update(mean="much")),
        "'much'",
    ),
    "too few classes": (
        "comparison.json",
        lambda path: change(path, lambda data: data["runs"][0]["classes"].pop()),
        "IoU of 3 classes, but the names of 2",
    ),
    "other classes": (
        "comparison.json",
        lambda path: change(path, lambda data: data["runs"][0].update(classes=["a", "b", "c"])),
        "its runs have different classes",
    ),
    "no number": ("runs/carafe-seed0/metrics.csv", lambda path: path.write_text("step,train/loss\n1,low\n"), "'low'"),
    "an empty picture": ("runs/carafe-seed0/pictures/001_truth.png", lambda path: path.write_bytes(b""), "001_truth"),
    "a cut picture": (
        "runs/carafe-seed0/pictures/001_image.png",
        lambda path: path.write_bytes(path.read_bytes()[:200]),
        "truncated",
    ),
    "a picture of another size": (
        "runs/carafe-seed0/pictures/001_truth.png",
        lambda path: Image.new("P", (3, 4)).save(path),
        "3x4.*64x48",
    ),
    "an unknown id": (
        "runs/carafe-seed0/pictures/001_truth.png",
        lambda path: Image.fromarray(np.full((48, 64), 77, np.uint8)).save(path),
        r"\[77\]",
    ),
    "no score": (
        "runs/carafe-seed0/images_val.csv",
        lambda path: path.write_text(path.read_text().replace("scene 3,0", "scene 3,much")),
        "line 5: .* found much",
    ),
    "other scores": (
        "runs/carafe-seed0/images_val.csv",
        lambda path: path.write_text("name,x\na,1\n"),
        "found name, x",
    ),
    "no environment": ("env.json", lambda path: path.write_text('{"versions": 3}'), "not a mapping"),
    "no diagnostics": ("diagnostics.json", lambda path: path.write_text("{}"), "'metrics' is missing"),
    "no filters": ("folding.json", lambda path: path.write_text('{"stride": 2}'), "'filters' is missing"),
}


@pytest.mark.parametrize(("file", "damage", "message"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_named(folder, file, damage, message):
    damage(folder / file)
    named = folder / file
    with pytest.raises(ValueError, match=f"{re.escape(str(named))}.*{message}|{message}.*{re.escape(str(named))}"):
        write_report([folder], folder / "page.html")
    assert not (folder / "page.html").exists()


def test_huge_pictures_are_refused(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"pictures.*exceeds limit"):
        write_report([folder], folder / "page.html")


def test_foreign_directories_are_named_with_what_is_missing(tmp_path, make_run):
    with pytest.raises(ValueError, match=r"nowhere is not a directory"):
        write_report([tmp_path / "nowhere"], tmp_path / "page.html")
    with pytest.raises(ValueError, match=r"neither comparison\.json .* metrics\.json .* evaluation\.json$"):
        write_report([tmp_path], tmp_path / "page.html")
    (tmp_path / "config.yaml").write_text("")
    with pytest.raises(ValueError, match=r"started, but is not finished"):
        write_report([tmp_path], tmp_path / "page.html")
    with pytest.raises(ValueError, match=r"at least one directory"):
        write_report([], tmp_path / "page.html")
    run = make_run(tmp_path / "run")
    with pytest.raises(ValueError, match=r"given twice: .*run"):
        write_report([run, run], tmp_path / "page.html")


def test_other_files_are_not_overwritten(folder):
    with pytest.raises(ValueError, match=r"\.html, found .*comparison\.json"):
        write_report([folder], folder / "comparison.json")


def test_a_variant_cannot_name_a_folder_elsewhere(folder, tmp_path):
    shutil.move(folder / "runs" / "carafe-seed0", tmp_path / "elsewhere-seed0")

    change(folder / "comparison.json", lambda data: data["runs"][1].update(folder="runs/../../elsewhere-seed0"))
    text = write_report([folder], tmp_path / "page.html").read_text()
    assert "Without pictures of these images: carafe." in text


def test_undefined_scores_are_shown_as_such(folder, tmp_path):
    def undefine(data):
        for variant in data["variants"]:
            variant["scores"]["DErr"]["mean"] = None

    change(folder / "comparison.json", undefine)
    text = write_report([folder], tmp_path / "page.html").read_text()
    assert text.count('data-value="nan">\N{EN DASH}') == 3 and ">nan" not in text


@pytest.fixture
def evaluated(make_sample, tmp_path):
    """Forty label files, of which later ones are better, and their evaluation."""
    folders = LabelFolders(tmp_path / "pred", tmp_path / "truth")
    for folder in (folders.predictions, folders.ground_truth):
        folder.mkdir()
    for number in range(40):
        sample = make_sample(number, number / 200, np.random.default_rng(number))
        Image.fromarray(sample.truth).save(folders.ground_truth / f"{number:02}.png")
        Image.fromarray(sample.prediction + 1).save(folders.predictions / f"{number:02}.png")
    scoring = Scoring(("ground", "pole", "sign"), width=3, pred_label_map={1: 0, 2: 1, 3: 2})
    (tmp_path / "out").mkdir()
    data = evaluate_folders(folders, scoring, workers=1).to_dict()
    (tmp_path / "out" / "evaluation.json").write_text(json.dumps(data).replace("NaN", "null"))
    return tmp_path / "out"


def names(text):
    return [line for line in re.findall(r'<h3 id="c1-image-\d+-name">(.*?)</h3>', text)]


def test_evaluations_show_their_worst_images(evaluated, tmp_path):
    data = json.loads((evaluated / "evaluation.json").read_text())
    text = write_report([evaluated], tmp_path / "page.html").read_text()
    worst = {entry["name"] for metric in METRICS for entry in data["worst"][metric][:3]}
    assert {*names(text)} == worst
    score = data["scores"]["mIoU"]
    assert f"out reaches {100 * score:.1f} % mIoU" in text
    assert "Of 40 images those that are among the five best or worst" in text
    assert "params" not in text and "on the image" not in text


def test_evaluations_without_their_label_files_show_scores(evaluated, tmp_path):
    shutil.rmtree(tmp_path / "truth")
    text = write_report([evaluated], tmp_path / "page.html").read_text()
    assert not names(text) and "no longer all where they were" in text and "Best and worst images" in text


def test_evaluations_read_no_files_outside_their_folders(evaluated, tmp_path):
    (tmp_path / "pred").rename(tmp_path / "secret")
    (tmp_path / "pred").mkdir()

    def redirect(data):
        for image in data["per_image"]:
            image["prediction"] = str(tmp_path / "pred" / ".." / "secret" / f"{image['name']}.png")

    change(evaluated / "evaluation.json", redirect)
    assert not names(write_report([evaluated], tmp_path / "page.html").read_text())


def test_left_out_images_are_said(evaluated, tmp_path):
    change(evaluated / "evaluation.json", lambda data: data["problems"].append({"file": "x.png", "reason": "empty"}))
    text = write_report([evaluated], tmp_path / "page.html").read_text()
    assert "Incomplete." in text and "problems: 1; the first is x.png: empty" in text
