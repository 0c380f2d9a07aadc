# SPDX-License-Identifier: Apache-2.0
"""Files that want to run something, or to reach files elsewhere."""

import json
import os
import pickle
import struct

import numpy as np
import pytest
import seeds
import torch
import yaml

from dealias.backbones import create_encoder
from dealias.compat.reading import read_published
from dealias.data import CocoInstances, CocoPanoptic, SegmentationFolders, read_image, read_labels
from dealias.data.lis import with_any_ending
from dealias.evaluation import parse_label_map
from dealias.experiments.data import open_validation
from dealias.models import create_model, rebuild
from dealias.report.pictures import load_pictures
from dealias.train import load_checkpoint, load_classifier, load_detector
from dealias.train.task_choice import choose_task


class Command:
    """Runs a command when it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.fixture
def canary(tmp_path):
    """``canary.command`` makes a file; none may be there at the end."""

    class Canary:
        file = tmp_path / "canary"
        command = f"touch {file}"

    yield Canary
    assert not Canary.file.exists()


@pytest.mark.parametrize("form", ["zip", "old", "pickle"])
@pytest.mark.parametrize("place", ["alone", "beside", "within"])
@pytest.mark.parametrize(
    "read",
    [load_checkpoint, load_classifier, load_detector, read_published, lambda path: create_encoder("test_resnet", path)],
    ids=["segmentation", "classification", "objects", "published", "weights"],
)
def test_pickles_run_nothing(canary, tmp_path, form, place, read):
    command = Command(canary.command)
    weights = {"state_dict": {"conv1.weight": torch.zeros(3)}}
    content = {"alone": command, "beside": {**weights, "x": command}, "within": {"state_dict": {"x": [command]}}}[place]
    path = tmp_path / "a.pth"
    if form == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    try:
        read(str(path))
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert (read, place) == (read_published, "beside")  # where a stand-in takes the place of what is not needed


def test_the_canary_sings(tmp_path):
    file = tmp_path / "made"
    pickle.loads(pickle.dumps(Command(f"touch {file}")))
    assert file.exists()


def configuration(path):
    choose_task(["--config", path])


def description(path):
    open_validation(f"folders:{path}")


@pytest.mark.parametrize("read", [configuration, description, parse_label_map])
def test_tags_of_yaml_run_nothing(canary, tmp_path, read):
    path = tmp_path / "a.yaml"
    for tag in ("python/object/apply:os.system", "python/object/new:os.system", "python/name:os.system"):
        path.write_text(f"task: !!{tag} ['{canary.command}']\n")
        with pytest.raises(ValueError, match="could not determine a constructor"):
            read(str(path))
    assert yaml.safe_load("a: 1") == {"a": 1}


def test_postscript_is_no_image_whatever_its_name(canary, tmp_path, monkeypatch):
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\n{canary.command}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    path = tmp_path / "a.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n")
    for read in (read_image, read_labels):
        with pytest.raises(ValueError, match="cannot identify image file"):
            read(path)


def test_arrays_of_objects_are_refused(canary, target):
    from dealias.report.html import write_report

    reader = target("report-similarity")
    file = next((reader.folder / "out").rglob("*.npy"))
    good = file.read_bytes()
    np.save(file, np.array([Command(canary.command)], dtype=object), allow_pickle=True)
    try:
        with pytest.raises(ValueError, match="Object arrays cannot be loaded"):
            write_report([reader.folder / "out"], reader.folder / "report.html")
    finally:
        file.write_bytes(good)


NAMES = ("../a.png", "/{outside}/a.png", "x/../../a.png", "..\\a.png", "C:\\a.png", "\\\\server\\a.png", "./../a.png")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["instances", "panoptic", "segments"])
def test_annotations_reach_no_file_elsewhere(tmp_path, kind, name):
    folder = tmp_path / "data"
    folder.mkdir()
    path = (seeds.write_instances if kind == "instances" else seeds.write_panoptic)(folder)[0]
    seeds.colours().save(tmp_path / "a.png")
    seeds.colours().save(folder / "a.png")
    content = json.loads(path.read_text())
    content["annotations" if kind == "segments" else "images"][0]["file_name"] = name.format(outside=tmp_path)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="must be relative and stay within their folder"):
        (CocoInstances if kind == "instances" else CocoPanoptic)(folder / "images", path)


def test_listed_names_reach_no_file_elsewhere(tmp_path):
    (tmp_path / "data").mkdir()
    seeds.write_folders(tmp_path / "data")
    for folder in ("images", "labels"):
        seeds.colours().convert("L").save(tmp_path / "data" / f"{folder}.png")
    for name in ("../images", "../images.png", f"{tmp_path}/data/images.png", "labels/../0"):
        (tmp_path / "list.txt").write_text(name)
        with pytest.raises(ValueError, match="without an image"):
            folders = (tmp_path / "data" / "images", tmp_path / "data" / "labels")
            SegmentationFolders(*folders, classes=seeds.CLASSES, list_file=tmp_path / "list.txt")


def test_names_with_wildcards_find_only_themselves(tmp_path):
    for name in ("1.png", "2.png", "[12].JPG"):
        (tmp_path / name).touch()
    assert with_any_ending(tmp_path / "[12].png").name == "[12].JPG"
    assert with_any_ending(tmp_path / "*.tif").name == "*.tif"


def test_pictures_of_a_report_reach_no_file_elsewhere(tmp_path):
    seeds.write_run(tmp_path / "run")
    index = tmp_path / "run" / "pictures" / "pictures.json"
    content = json.loads(index.read_text())
    seeds.colours().save(tmp_path / "outside.png")
    for name in ("../../outside.png", str(tmp_path / "outside.png")):
        content["samples"][0]["image"] = name
        index.write_text(json.dumps(content))
        with pytest.raises(ValueError, match="outside of the folder"):
            load_pictures(index.parent)


@pytest.mark.parametrize("option", ["cache_dir", "checkpoint_path", "pretrained", "pretrained_cfg"])
def test_a_stored_network_leads_to_no_other_weights(option):
    config = create_model("fpn", "test_resnet", classes=3, decoder_channels=8).config
    with pytest.raises(ValueError, match="cannot say where weights are"):
        rebuild({**config, "encoder_options": {option: "/somewhere"}})
    assert rebuild({**config, "encoder_weights": "/somewhere"}).config["encoder_weights"] == "/somewhere"  # not read


def test_a_file_that_only_begins_like_an_image_is_refused(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 2**31 - 1) + b"IHDR")
    with pytest.raises(ValueError, match=r"a\.png: cannot be read as an image"):
        read_image(path)
