# SPDX-License-Identifier: Apache-2.0
"""Every bad file is listed with its reason, and nothing is written but the list."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dealias.evaluation import BadFilesError, LabelFolders, Scoring, evaluate_folders, scoring
from dealias.evaluation.scoring import Counts

CLASSES = 5


def truncate(path):
    noise = np.random.default_rng(0).integers(0, CLASSES, (64, 64), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:300])


def recolour(mode):
    return lambda path: Image.open(path).convert("L").convert(mode).save(path)


def set_ids(*ids, dtype=np.uint8):
    def write(path):
        labels = np.array(Image.open(path)).astype(dtype)
        labels[10, : len(ids)] = ids
        Image.fromarray(labels).save(path)

    return write


def crop(path):
    Image.open(path).crop((0, 0, 30, 20)).save(path)


def bomb(path):
    Image.fromarray(np.zeros((200, 200), np.uint8)).save(path)


BAD = {
    "truncated": ("pred", truncate, "cannot be read as an image: "),
    "empty": ("gt", lambda path: path.write_bytes(b""), "cannot be read as an image: "),
    "text": ("pred", lambda path: path.write_text("labels"), "cannot be read as an image: "),
    "broken link": ("gt", lambda path: (path.unlink(), path.symlink_to("nowhere")), "cannot be read as an image: "),
    "colour prediction": ("pred", recolour("RGB"), "one channel of class ids, got mode RGB"),
    "colour truth": ("gt", recolour("RGBA"), "one channel of class ids, got mode RGBA"),
    "alpha": ("pred", recolour("LA"), "one channel of class ids, got mode LA"),
    "predicted ids": ("pred", set_ids(5, 255), "ids 5, 255 found, expected class ids 0..4"),
    "true ids": ("gt", set_ids(6, 7, 255), "ids 6, 7 found, expected class ids 0..4 or ignored (255)"),
    "wide ids": ("pred", set_ids(1, 300, dtype=np.uint16), "ids 300 found, expected class ids 0..4"),
    "many ids": ("gt", set_ids(*range(30)), "ids 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, ... found"),
    "size": ("pred", crop, "size 30x20 differs from 50x40 of"),
    "bomb": ("gt", bomb, "cannot be read as an image: Image size (40000 pixels) exceeds limit"),
    "lost prediction": ("gt", None, "no prediction 'lost prediction' (.png, .tif, .tiff) in"),
    "lost truth": ("pred", None, "no ground truth 'lost truth' (.png, .tif, .tiff) in"),
}


@pytest.fixture
def spoil(make_labels, monkeypatch, save):
    """One good pair and one bad pair for each of the named kinds; the folders and the expected problems."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)

    def build(*kinds):
        labels = make_labels(1)
        preds, truth = labels.arrays["image0"]
        folders = {"pred": labels.predictions, "gt": labels.truth}
        problems = {}
        for kind in kinds:
            side, damage, reason = BAD[kind]
            save(folders["pred"] / f"{kind}.png", preds)
            save(folders["gt"] / f"{kind}.png", truth)
            file = folders[side] / f"{kind}.png"
            if damage is None:
                (folders["gt" if side == "pred" else "pred"] / f"{kind}.png").unlink()
            else:
                damage(file)
            problems[str(file)] = reason
        return labels, problems

    return build


@pytest.mark.parametrize("kind", BAD)
def test_each_kind_is_named_and_explained(spoil, kind):
    labels, problems = spoil(kind)
    with pytest.raises(BadFilesError) as error:
        evaluate_folders(LabelFolders(labels.predictions, labels.truth), Scoring(tuple("abcde")), workers=1)
    ((file, reason),) = problems.items()
    (found,) = error.value.problems
    assert found.file == file and reason in found.reason
    assert file in str(error.value)


def test_all_kinds_are_listed_at_once(tmp_path, spoil, run_command, capsys):
    labels, problems = spoil(*BAD)
    out = tmp_path / "out"
    arguments = (labels.predictions, labels.truth, "--classes", CLASSES, "--out", out, "--workers", 1)
    assert run_command("evaluate", *arguments) == 2
    assert sorted(path.name for path in out.iterdir()) == ["problems.json", "problems.txt"]
    content = json.loads((out / "problems.json").read_text())
    assert {entry["file"] for entry in content["problems"]} == problems.keys()
    lines = (out / "problems.txt").read_text().splitlines()
    assert len(lines) == len(problems)
    errors = capsys.readouterr().err
    for file, reason in problems.items():
        assert any(line.startswith(f"{file}: ") and reason in line for line in lines)
        assert file in errors
    assert f"{len(BAD)} problems, nothing was scored; --skip-bad" in errors


def test_both_files_of_a_pair_can_be_bad(make_labels):
    labels = make_labels(2)
    set_ids(9)(labels.predictions / "image0.png")
    (labels.truth / "image0.png").write_bytes(b"")
    with pytest.raises(BadFilesError) as error:
        evaluate_folders(LabelFolders(labels.predictions, labels.truth), Scoring(tuple("abcde")), workers=1)
    assert [found.file for found in error.value.problems] == [
        str(labels.predictions / "image0.png"),
        str(labels.truth / "image0.png"),
    ]


@pytest.mark.parametrize("bad", ["known before", "found on the way"])
def test_nothing_is_scored_once_a_problem_is_known(make_labels, monkeypatch, bad):
    labels = make_labels(40)
    (labels.truth / "image39.png").write_bytes(b"")
    if bad == "known before":
        (labels.truth / "image0.png").unlink()
    else:
        (labels.truth / "image0.png").write_bytes(b"")
    scored = []
    monkeypatch.setattr(scoring, "_count", lambda settings, pair, *labels: scored.append(pair.name) or Counts.empty(5))
    seen = []
    with pytest.raises(BadFilesError) as error:
        folders = LabelFolders(labels.predictions, labels.truth)
        evaluate_folders(folders, Scoring(tuple("abcde")), workers=1, on_progress=lambda *news: seen.append(news))
    named = [Path(found.file).name for found in error.value.problems]
    assert named == ["image0.png", "image39.png"]
    assert len(scored) == 0 if bad == "known before" else 0 < len(scored) < 10
    assert seen[-1] == (39, 39) if bad == "known before" else seen[-1] == (40, 40)


def test_workers_list_the_same_problems(make_labels):
    labels = make_labels(40)
    for number in (3, 20, 38):
        (labels.truth / f"image{number}.png").write_bytes(b"")
    found = []
    for workers in (1, 2):
        with pytest.raises(BadFilesError) as error:
            evaluate_folders(LabelFolders(labels.predictions, labels.truth), Scoring(tuple("abcde")), workers)
        found.append(error.value.problems)
    assert found[0] == found[1] and len(found[0]) == 3


def test_skip_bad_scores_the_rest_and_says_so(tmp_path, spoil, run_command, evaluate, capsys):
    labels, problems = spoil(*BAD)
    found = evaluate(labels, "--skip-bad")
    errors = capsys.readouterr().err
    assert [image["name"] for image in found["per_image"]] == ["image0"]
    assert found["images"] == 1
    assert {entry["file"] for entry in found["problems"]} == problems.keys()
    assert f"WARNING: {len(BAD)} problems, so the scores are of 1 images" in errors
    out = tmp_path / "out0"
    assert len((out / "problems.txt").read_text().splitlines()) == len(BAD)
    assert "INCOMPLETE" in (out / "evaluation.md").read_text()
    for file in problems:
        labels.predictions.joinpath(file.rpartition("/")[2]).unlink(missing_ok=True)
        labels.truth.joinpath(file.rpartition("/")[2]).unlink(missing_ok=True)
    clean = evaluate(labels)
    assert clean["scores"] == found["scores"] and clean["problems"] == []


def test_nothing_left_to_score(tmp_path, make_labels, run_command, capsys):
    labels = make_labels(2)
    for path in labels.predictions.glob("*.png"):
        path.write_bytes(b"")
    arguments = ("--classes", CLASSES, "--workers", 1, "--skip-bad", "--out", tmp_path / "out")
    assert run_command("evaluate", labels.predictions, labels.truth, *arguments) == 2
    assert "nothing was scored; none is left" in capsys.readouterr().err
    assert not (tmp_path / "out" / "evaluation.json").exists()


def test_twenty_are_shown_and_all_are_written(tmp_path, make_labels, run_command, capsys):
    labels = make_labels(31)
    for path in labels.predictions.rglob("image*.png"):
        path.write_bytes(b"")
    arguments = ("--classes", CLASSES, "--workers", 1)
    assert run_command("evaluate", labels.predictions, labels.truth, *arguments, "--out", tmp_path / "out") == 2
    errors = capsys.readouterr().err
    assert errors.count("cannot be read") == 20 and "and 10 more; all of them are in" in errors
    assert len((tmp_path / "out" / "problems.txt").read_text().splitlines()) == 30
    assert run_command("evaluate", labels.predictions, labels.truth, *arguments) == 2
    assert "give --out" in capsys.readouterr().err


def test_problems_of_an_earlier_run_do_not_stay(tmp_path, make_labels, run_command):
    labels = make_labels(2)
    file = labels.predictions / "image0.png"
    good = file.read_bytes()
    arguments = ("--classes", CLASSES, "--workers", 1, "--out", tmp_path / "out")
    file.write_bytes(b"")
    assert run_command("evaluate", labels.predictions, labels.truth, *arguments) == 2
    file.write_bytes(good)
    assert run_command("evaluate", labels.predictions, labels.truth, *arguments) == 0
    assert not list((tmp_path / "out").glob("problems*"))
