# SPDX-License-Identifier: Apache-2.0
"""What ``dealias predict`` writes."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dealias.cli import main
from dealias.data import SyntheticScenes, read_labels
from dealias.prediction import Outputs, Predictor
from dealias.train import InferenceSettings, load_checkpoint, predict_logits

SETTINGS = {
    "whole": ([], {}),
    "windows": (["--window", 40, 48, "--stride", 25], {"window": (40, 48), "stride": 25}),
    "square window": (["--window", 32], {"window": 32}),
    "views": (["--scales", 1, 0.75, "--flip"], {"scales": (1.0, 0.75), "flip": True}),
}


def direct(checkpoint, path, **settings):
    """Class ids without the code under test: normalised by hand."""
    network, meta = load_checkpoint(checkpoint)
    pixels = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(meta[key])[:, None, None] for key in ("mean", "std"))
    with torch.no_grad():
        return predict_logits(network, ((pixels - mean) / std)[None], **settings)[0].argmax(0)


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


@pytest.mark.parametrize(("options", "settings"), SETTINGS.values(), ids=SETTINGS)
def test_labels_are_those_of_the_checkpoints_network(predict, save, checkpoint, options, settings):
    images = [save("in/odd.png", (45, 71)), save("in/large.jpg", (96, 130)), save("in/smallest.tif", (32, 32))]
    code, _, err = predict("in", "--out", "out", *options)
    assert code == 0, err
    for path in images:
        labels = read_labels(f"out/labels/{path.stem}.png")
        assert torch.equal(labels.long(), direct(checkpoint, path, **settings)), path
    assert len(read_labels("out/labels/large.png").unique()) > 1


def test_windows_of_a_pixelwise_network_give_the_whole_image():
    network = torch.nn.Conv2d(3, 4, 1)
    palette = ((0, 0, 0),) * 4
    image = SyntheticScenes(1, size=(75, 90))[0]["image"]
    whole = Predictor(network, palette)(image)
    found = Predictor(network, palette, settings=InferenceSettings(window=32, stride=20))(image)
    assert whole.dtype == np.uint8 and len(np.unique(whole)) > 1
    np.testing.assert_array_equal(found, whole)


def test_label_maps_are_ids_with_the_palette_of_the_data(predict, save):
    save("a.png")
    predict("a.png", "--out", "out")
    picture = Image.open("out/labels/a.png")
    assert picture.mode == "P" and picture.size == (70, 45)
    assert np.asarray(picture).max() < 9
    colours = np.reshape(picture.getpalette()[:27], (9, 3)).tolist()
    assert colours == [list(colour) for colour in SyntheticScenes.palette]
    assert Path("out/labels/a.png").read_bytes()[24] == 8  # bit depth in the header


def test_more_than_256_classes_take_16_bits(tmp_path):
    labels = np.arange(300, dtype=np.uint16).reshape(15, 20)
    Outputs(tmp_path).write("a", np.zeros((15, 20, 3), np.uint8), labels, [(1, 2, 3)] * 300)
    assert torch.equal(read_labels(tmp_path / "labels" / "a.png"), torch.from_numpy(labels.astype(np.int32)))


def test_overlays_are_between_image_and_colours(predict):
    image = np.linspace((0, 255, 60), (250, 40, 200), 64 * 96).astype(np.uint8).reshape(64, 96, 3)
    Image.fromarray(image).save("a.png")
    predict("a.png", "--out", "out")
    overlay, colours = (
        np.asarray(Image.open(f"out/{name}").convert("RGB")) for name in ("overlays/a.jpg", "labels/a.png")
    )
    expected = (image.astype(float) + colours) / 2
    assert np.abs(overlay - expected).mean() < 3 < np.abs(overlay - image.astype(float)).mean()
    predict("a.png", "--out", "bare", "--no-overlay")
    assert files("bare") == ["labels/a.png", "prediction.json"]


def test_files_folders_and_patterns_keep_names_and_subfolders(predict, save):
    for name in ("in/a.v1.jpg", "in/city/b.PNG", "in/city/deep/c.png", "in/.hidden/d.png", "in/.e.png"):
        save(name)
    Path("in/notes.txt").write_text("no image")
    cases = {
        "in": ["a.v1", "city/b", "city/deep/c"],
        "in/**/*.png": ["city/deep/c"],
        "in/*/*": ["city/b"],
        "i[n]/a*": ["in/a.v1"],
        "in/city/b.PNG": ["b"],
    }
    for number, (source, names) in enumerate(cases.items()):
        code, out, err = predict(source, "--out", f"out{number}")
        assert code == 0, err
        assert files(f"out{number}/labels") == [f"{name}.png" for name in names], source
        assert files(f"out{number}/overlays") == [f"{name}.jpg" for name in names], source
    assert re.fullmatch(r"Predicted 1 image, \d+\.\d\d images/s: labels/ and overlays/ in out4\n", out)


def test_sources_add_up_and_an_image_named_twice_is_predicted_once(predict, save):
    for name in ("in/a.png", "b.png", "brackets[1].png"):
        save(name)
    code, out, _ = predict("in", "in/a.png", "b.png", "brackets[1].png", Path("in/a.png").resolve(), "--out", "out")
    assert code == 0 and out.startswith("Predicted 3 images,")
    assert files("out/labels") == ["a.png", "b.png", "brackets[1].png"]


def test_without_out_every_prediction_has_a_new_folder(predict, save):
    save("in/a.png")
    assert predict("in")[0] == predict("in")[0] == 0
    folders = sorted(Path("runs").iterdir())
    assert len(folders) == 2 and all(re.match(r"\d{8}-\d{6}-predict", folder.name) for folder in folders)


def test_the_record_says_what_was_done(predict, save, checkpoint):
    save("a.png")
    predict("a.png", "--out", "out", "--window", 64)
    record = json.loads(Path("out/prediction.json").read_text())
    assert record["checkpoint"] == str(checkpoint) and record["environment"]["device"] == "cpu"
    assert record["images"] == {"a": str(Path("a.png").resolve())}
    assert (record["settings"]["window"], record["settings"]["flip"]) == (64, False)


def test_the_help_names_the_trainers_form_and_both_can_be_had(capsys):
    with pytest.raises(SystemExit):
        main(["predict", "--help"])
    ours = capsys.readouterr().out
    assert "IMAGE" in ours and "dealias predict --config FILE" in ours
    assert main(["predict", "--config", "--help"]) == 0
    assert "--trainer.accelerator" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["-c", "--config", "--config=x.yaml"])
def test_a_configuration_goes_to_the_trainer(monkeypatch, option):
    given = []
    monkeypatch.setattr("dealias.train.commands.run_training_command", lambda *arguments: given.append(arguments) or 0)
    assert main(["predict", option, "--ckpt_path", "last"]) == 0
    assert given == [("predict", [option, "--ckpt_path", "last"])]


def test_a_checkpoint_elsewhere_is_the_same(predict, save, checkpoint):
    save("in/a.png")
    moved = shutil.copy(checkpoint, "moved.ckpt")
    predict("in", "--out", "out")
    save("in/b.png")
    code, out, err = predict("in", "--out", "out", "--resume", checkpoint=moved)
    assert code == 0 and out.startswith("Predicted 1 image (1 was there already)"), err
