# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

import numpy as np
import pytest
import yaml
from PIL import Image

from dealias import cli
from dealias.data import SyntheticScenes
from dealias.experiments.data import default_band, default_crop, open_data


def write_folders(root, sizes=((96, 80), (96, 80))):
    for split, count in (("train", 2), ("val", 1)):
        for kind, mode in (("images", "RGB"), ("labels", "L")):
            (root / kind / split).mkdir(parents=True)
            for number in range(count):
                Image.new(mode, sizes[number], 1).save(root / kind / split / f"{number}.png")
    content = {split: {kind: f"{kind}/{split}" for kind in ("images", "labels")} for split in ("train", "val")}
    content |= {"classes": ["ground", "pole"], "palette": [[1, 2, 3], [4, 5, 6]], "ignore_labels": [7]}
    (root / "data.yaml").write_text(yaml.safe_dump(content))
    return root / "data.yaml"


def test_scenes_are_read_once_and_disjoint():
    data = open_data("scenes:3/2")
    assert open_data("scenes:3/2") is data
    assert (len(data.train), len(data.val), data.band, data.eval_batch_size) == (3, 2, 3, 16)
    for dataset, seed in ((data.train, 0), (data.val, 1)):
        expected = SyntheticScenes(2, seed=seed)[1]
        assert (dataset[1]["image"] == expected["image"]).all() and dataset[1]["name"] == expected["name"]


def test_flips_are_all_that_scenes_are_augmented_with():
    data = open_data("scenes:1/1")
    sample = data.train[0]
    flips = {np.asarray(np.flip(sample["mask"].numpy(), axes)).tobytes() for axes in ((), (0,), (1,), (0, 1))}
    seen = {data.train_transform(data.train[0])["mask"].numpy().astype(np.uint8).tobytes() for _ in range(64)}
    assert seen == flips
    assert (data.train[0]["image"] == sample["image"]).all(), "what is kept in memory does not change"


def test_folders_file(tmp_path):
    data = open_data(f"folders:{write_folders(tmp_path)}")
    assert (len(data.train), len(data.val)) == (2, 1)
    assert data.train.classes == ("ground", "pole") and data.train.palette[1] == (4, 5, 6)
    assert data.train.ignore_labels == (7,) and data.eval_batch_size == 1
    assert data.train_transform(data.train[0])["image"].shape == (3, 64, 64), "the largest multiple of 32 in 96x80"
    assert open_data(f"folders:{tmp_path / 'data.yaml'}", 48).train_transform(data.train[0])["image"].shape == (
        3,
        48,
        48,
    )


@pytest.mark.parametrize(
    ("spec", "kind", "counts", "classes"),
    [
        ("cityscapes", "cityscapes", (3, 1), 19),
        ("ade20k", "ade20k", (3, 1), 150),
        ("voc", "voc2012", (2, 1), 21),
        ("vocaug", "voc2012", (3, 1), 21),
    ],
)
def test_published_data_sets(tmp_path, write_dataset, spec, kind, counts, classes):
    data = open_data(f"{spec}:{write_dataset(kind, tmp_path)}")
    assert (len(data.train), len(data.val), len(data.train.classes), data.eval_batch_size) == (*counts, classes, 1)
    assert data.train_transform(data.train[0])["mask"].shape == (64, 64)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("coco", r"unknown data 'coco'; known: scenes\[:TRAIN/VAL\], camvid:ROOT"),
        ("scenes:many", "TRAIN/VAL, as in scenes:64/16, got 'many'"),
        ("folders:nowhere.yaml", "nowhere.yaml: no such file"),
        ("camvid:nowhere", "nowhere/images/train: no such folder"),
    ],
)
def test_unknown_data_is_named(spec, message):
    with pytest.raises(ValueError, match=message):
        open_data(spec)


def test_bad_folders_files_are_named(tmp_path):
    file = write_folders(tmp_path)
    content = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**content, "colours": []}))
    with pytest.raises(ValueError, match=r"data\.yaml: .*colours"):
        open_data(f"folders:{file}")
    file.write_text(yaml.safe_dump({"train": {}, "val": {}}))
    with pytest.raises(ValueError, match=r"data\.yaml: lacks classes"):
        open_data(f"folders:{file}", 32)


def test_band_and_crop_follow_the_size():
    assert [default_band(side) for side in (64, 128, 256, 512, 1024, 2048)] == [3, 3, 3, 7, 15, 29]
    assert all(default_band(side) % 2 == 1 for side in range(32, 3000))
    assert default_crop(SyntheticScenes(1, size=(700, 600))) == 512


def test_importing_the_options_loads_nothing_heavy():
    code = "import sys, dealias.commands.compare, dealias.commands.demo; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"lightning", "timm", "torchvision", "rich", "yaml", "PIL", "matplotlib"} & set(done.stdout.split())


def test_arguments_become_settings(monkeypatch, tmp_path):
    found = []
    monkeypatch.setattr("dealias.experiments.compare.compare", lambda *args: found.append(args))
    arguments = ["compare", "--fusion", "nearest", "carafe", "--budget", "90", "--seeds", "2", "--data", "camvid:x"]
    arguments += ["--model-options", '{"dropout": 0.0}', "--band", "15", "--out", str(tmp_path), "--workers", "3"]
    assert cli.main(arguments) == 0
    (settings, execution, _), *_ = found
    assert settings.fusions == ("nearest", "carafe") and settings.model_options == {"dropout": 0.0}
    assert (settings.steps, settings.budget, settings.seeds, settings.band) == (None, 90.0, 2, 15)
    assert (execution.out, execution.workers, execution.resume) == (tmp_path, 3, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume"], "--resume needs --out"),
        (["--workers", "0"], "--workers must be at least 1, got 0"),
        (["--steps", "0", "--out", "x"], "steps must be positive, got 0"),
        (["--device", "tpu9", "--out", "x"], "tpu9"),
    ],
)
def test_wrong_arguments_end_with_one_line(arguments, message, capsys):
    assert cli.main(["compare", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize("value", ["{", "[1]"])
def test_options_that_are_no_json_object(value, capsys):
    with pytest.raises(SystemExit):
        cli.main(["compare", "--model-options", value])
    assert "JSON" in capsys.readouterr().err


def test_help_names_every_argument(capsys):
    with pytest.raises(SystemExit):
        cli.main(["compare", "--help"])
    text = capsys.readouterr().out
    assert all(
        flag in text for flag in ("--fusion ", "--seeds", "--budget", "--band", "--resume", "--fusion-lr-factor")
    )
