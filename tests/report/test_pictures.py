# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from dealias.report.pictures import EVENLY_SPACED, load_pictures, save_pictures


@pytest.fixture
def folder(pictures, tmp_path):
    save_pictures(tmp_path / "pictures", pictures)
    return tmp_path / "pictures"


def test_missing_pictures_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"pictures\.json not found"):
        load_pictures(tmp_path)


def test_reasons_are_kept(pictures, folder):
    assert [sample.why for sample in load_pictures(folder).samples] == [(EVENLY_SPACED,)] * 2
    worst = dataclasses.replace(pictures.samples[0], why=("lowest mIoU", "highest FErr"))
    save_pictures(folder, dataclasses.replace(pictures, samples=(worst,)))
    assert load_pictures(folder).samples[0].why == ("lowest mIoU", "highest FErr")


def test_saving_again_leaves_nothing_of_before_but_what_is_not_ours(pictures, folder):
    (folder / "notes.txt").touch()
    save_pictures(folder, dataclasses.replace(pictures, samples=pictures.samples[1:]))
    parts = {f"000_{part}.png" for part in ("image", "truth", "prediction")}
    assert {path.name for path in folder.iterdir()} == {*parts, "pictures.json", "notes.txt"}


def test_an_interrupted_save_leaves_no_index(pictures, folder):
    broken = dataclasses.replace(pictures.samples[1], truth=np.zeros((2, 3, 4, 5), np.uint8))
    with pytest.raises(TypeError):
        save_pictures(folder, dataclasses.replace(pictures, samples=(pictures.samples[0], broken)))
    with pytest.raises(ValueError, match="not found"):
        load_pictures(folder)


BAD_INDEX = {
    "no list": (lambda index: index.update(samples=3), "not iterable"),
    "no name": (lambda index: index["samples"][1].pop("name"), "'name' is missing"),
    "no palette": (lambda index: index.pop("palette"), "'palette' is missing"),
    "no colour": (lambda index: index.update(palette=[[1, 2]] * 3), "colour of class .* got .1, 2"),
    "too few colours": (lambda index: index["palette"].pop(), "each of 3 classes, got 2"),
    "no number": (lambda index: index.update(ignore_index="much"), "'much'"),
}


@pytest.mark.parametrize(("edit", "message"), BAD_INDEX.values(), ids=BAD_INDEX)
def test_a_bad_index_is_named(edit, message, folder):
    path = folder / "pictures.json"
    index = json.loads(path.read_text())
    edit(index)
    path.write_text(json.dumps(index))
    with pytest.raises(ValueError, match=rf"pictures\.json is no index of pictures: .*{message}"):
        load_pictures(folder)
    for text in ("{", "[]", "\xff"):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(ValueError, match=r"pictures\.json is no index of pictures"):
            load_pictures(folder)


@pytest.mark.parametrize("elsewhere", ["../secret.png", "a/../../secret.png", "{}/secret.png", "link.png"])
@pytest.mark.parametrize("part", ["image", "truth", "prediction"])
def test_names_that_leave_the_folder_are_refused(elsewhere, part, folder, tmp_path):
    Image.fromarray(np.zeros((8, 10, 3) if part == "image" else (8, 10), np.uint8)).save(tmp_path / "secret.png")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    path, name = folder / "pictures.json", elsewhere.format(tmp_path)
    index = json.loads(path.read_text())
    index["samples"][1][part] = name
    path.write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"(secret|link)\.png cannot be read as a picture: it lies outside"):
        load_pictures(folder)


BAD_PICTURES = {
    "missing": ("001_image.png", lambda path: path.unlink(), "No such file"),
    "empty": ("001_truth.png", lambda path: path.write_bytes(b""), "cannot identify"),
    "cut": ("000_image.png", lambda path: path.write_bytes(path.read_bytes()[:-40]), "truncated"),
    "small": ("001_prediction.png", lambda path: Image.new("P", (3, 4)).save(path), "3x4, that of its image .* 10x8"),
    "colour": ("001_truth.png", lambda path: Image.new("RGB", (10, 8)).save(path), "mode is RGB, expected P or L"),
    "grey": ("001_image.png", lambda path: Image.new("L", (10, 8)).save(path), "mode is L, expected RGB"),
    "unknown id": ("001_truth.png", lambda path: Image.new("L", (10, 8), 7).save(path), r"in \[0, 3\), found \[7\]"),
    "ignored": ("001_prediction.png", lambda path: Image.new("L", (10, 8), 255).save(path), r"found \[255\]"),
}


@pytest.mark.parametrize(("file", "damage", "message"), BAD_PICTURES.values(), ids=BAD_PICTURES)
def test_a_bad_picture_is_named(file, damage, message, folder):
    damage(folder / file)
    with pytest.raises(ValueError, match=rf"{file}.*{message}"):
        load_pictures(folder)


def test_huge_pictures_are_refused(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match=r"000_image\.png cannot be read .* exceeds limit"):
        load_pictures(folder)
