# SPDX-License-Identifier: Apache-2.0
"""Nothing is ever replaced, and an interrupted prediction can be gone on with."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from dealias._device import choose_device
from dealias.prediction import Predictor


def snapshot(folder="."):
    """Content of every file."""
    return {path: path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def pictures(folder):
    """Content of every output by its path below the folder, hidden files included."""
    files = {path.relative_to(folder).as_posix(): content for path, content in snapshot(folder).items()}
    return {name: content for name, content in files.items() if name != "prediction.json"}


def test_images_with_one_output_are_refused(predict, save):
    for name in ("in/a.png", "in/a.jpg", "x/b.png", "y/b.png"):
        save(name)
    for sources, message in ((["in"], "in/a.jpg and in/a.png"), (["x/b.png", "y/b.png"], "x/b.png and y/b.png")):
        code, _, err = predict(*sources, "--out", "out")
        assert code == 2 and message in err and not Path("out").exists()


OVERLAPS = {
    "out is the folder": (["labels"], ".", "labels: outputs would be among the images in labels"),
    "out in the folder": (["."], "out", "out/labels: outputs would be among"),
    "out behind a link": (["labels"], "link", "link/labels: outputs would be among"),
    "out in the pattern": (["./**/*.png"], "out", "out/labels: outputs would be among"),
    "output of a file": (["labels/a.png"], ".", "labels/a.png is in labels, where outputs"),
    "default folder": (["."], None, "outputs would be among"),
}


@pytest.mark.parametrize(("sources", "out", "message"), OVERLAPS.values(), ids=OVERLAPS)
def test_outputs_among_the_images_are_refused(predict, save, sources, out, message):
    save("labels/a.png")
    Path("link").symlink_to(".")
    before = snapshot()
    code, _, err = predict(*sources, *(["--out", out] if out else []))
    assert code == 2 and message in err
    assert snapshot() == before


def test_files_of_others_are_never_replaced(predict, save):
    save("images/a.png")
    save("labels/a.png")
    before = snapshot()
    for resume in ([], ["--resume"]):
        code, _, err = predict("images", "--out", ".", *resume)
        assert code == 2 and "labels/a.png exists already" in err
        assert snapshot() == before


def test_an_earlier_prediction_is_only_added_to(predict, save):
    save("in/a.png")
    assert predict("in", "--out", "out")[0] == 0
    save("in/b.png")
    before = snapshot("out")
    code, _, err = predict("in", "--out", "out")
    assert code == 2 and "out holds a prediction already; use --resume" in err
    code, _, err = predict("in", "--out", "out", "--resume", "--flip")
    assert code == 2 and "flip False instead of True" in err
    assert snapshot("out") == before
    old = [path for path in before if path.suffix != ".json"]
    stamps = [path.stat().st_mtime_ns for path in old]
    assert predict("in", "--out", "out", "--resume")[0] == 0
    assert [path.stat().st_mtime_ns for path in old] == stamps
    assert Path("out/labels/b.png").is_file()


def test_another_checkpoint_is_not_mixed_in(predict, save, checkpoint):
    save("in/a.png")
    predict("in", "--out", "out")
    content = torch.load(checkpoint, weights_only=True)
    torch.save({**content, "global_step": 2}, "other.ckpt")
    code, _, err = predict("in", "--out", "out", "--resume", checkpoint="other.ckpt")
    assert code == 2 and re.search("sha256 .* instead of", err)


def test_another_image_of_the_same_name_is_not_taken_for_finished(predict, save):
    save("x/a.png")
    save("y/a.png")
    predict("x", "--out", "out")
    code, _, err = predict("y", "--out", "out", "--resume")
    assert code == 2 and re.search("a .*/x/a.png instead of .*/y/a.png", err)


def test_missing_overlays_are_added_without_touching_labels(predict, save):
    save("a.png")
    predict("a.png", "--out", "out", "--no-overlay")
    stamp = Path("out/labels/a.png").stat().st_mtime_ns
    assert predict("a.png", "--out", "out", "--resume")[0] == 0
    assert Path("out/overlays/a.jpg").is_file() and Path("out/labels/a.png").stat().st_mtime_ns == stamp


def interrupt_network(patch):
    """After the second image; the first call only checks the settings."""
    original, calls = Predictor.__call__, []

    def predict(predictor, image):
        calls.append(image)
        labels = original(predictor, image)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return labels

    patch.setattr(Predictor, "__call__", predict)


def interrupt_writing(patch, wanted):
    """When the file of the second image in the format ``wanted`` is on the disk under its temporary name."""
    original = Image.Image.save

    def save(picture, path, format, **options):
        original(picture, path, format=format, **options)
        if format == wanted and ".b." in path.name:
            raise KeyboardInterrupt

    patch.setattr(Image.Image, "save", save)


INTERRUPTS = {
    "network": interrupt_network,
    "overlay": lambda patch: interrupt_writing(patch, "JPEG"),
    "labels": lambda patch: interrupt_writing(patch, "PNG"),
}


@pytest.mark.parametrize("interrupt", INTERRUPTS.values(), ids=INTERRUPTS)
def test_an_interrupt_leaves_whole_files_and_says_how_to_go_on(predict, save, monkeypatch, interrupt):
    for name in ("in/a.png", "in/b.png"):
        save(name)
    predict("in", "--out", "whole")
    with monkeypatch.context() as patch:
        interrupt(patch)
        code, _, err = predict("in", "--out", "out")
    assert code == 130 and "interrupted; go on with --resume --out out" in err
    whole, found = pictures("whole"), pictures("out")
    assert found.items() < whole.items() and "labels/a.png" in found and "overlays/b.jpg" not in found
    code, out, _ = predict("in", "--out", "out", "--resume")
    assert code == 0 and "Predicted 1 image (1 was there already)" in out
    assert pictures("out") == whole


ERRORS = {
    "missing": (["nothing.png"], "nothing.png: no such file or folder"),
    "empty folder": (["empty"], "empty: no images there"),
    "pattern": (["*.tif"], r"\*.tif: no images there"),
    "small window": (["a.png", "--window", 16], "at least 32 .* got 16"),
    "three sizes": (["a.png", "--window", 1, 2, 3], "--window takes height and width"),
    "stride alone": (["a.png", "--stride", 16], "needs a window"),
    "stride": (["a.png", "--window", 32, "--stride", 40], "between 1 and the window"),
    "scales": (["a.png", "--scales", 0], "positive numbers"),
    "resume": (["a.png", "--resume"], "--resume needs --out"),
}


@pytest.mark.parametrize(("arguments", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_name_what_is_wrong_and_leave_nothing(predict, save, arguments, message):
    save("a.png")
    Path("empty").mkdir()
    code, _, err = predict(*arguments)
    assert code == 2 and re.search(f"^dealias predict: .*{message}", err), err
    assert not Path("runs").exists()


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_files_that_are_no_checkpoints_are_refused(predict, save, content):
    save("a.png")
    if content is not None:
        Path("x.ckpt").write_bytes(content)
    else:
        torch.save({"model": {}}, "x.ckpt")
    code, _, err = predict("a.png", checkpoint="x.ckpt")
    assert code == 2 and err.startswith("dealias predict: x.ckpt: ") and not Path("runs").exists()


def test_unknown_devices_are_refused():
    assert choose_device("cpu") == "cpu"
    for name in ("cuda:99", "gpu", "meta"):
        with pytest.raises(ValueError, match=name):
            choose_device(name)
