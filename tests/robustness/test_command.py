# SPDX-License-Identifier: Apache-2.0
"""``dealias fit``, ``test --attack`` and ``predict`` of a classifier, and attacks on a segmentation network."""

import csv
import json
import warnings
from pathlib import Path

import pytest
import torch
import yaml

from dealias.cli import main
from dealias.data import TextureFrequencies, classification_evaluation_transform
from dealias.robustness import fgsm, normalised
from dealias.train import load_classifier
from dealias.train.task_choice import choose_task

TINY = Path(__file__).parents[2] / "configs" / "tiny"
QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
LAST = ["--ckpt_path", "run/checkpoints/last.ckpt"]


@pytest.fixture(scope="module", autouse=True)
def workplace(tmp_path_factory):
    """All tests work in one folder, which has a trained classifier."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        patch.chdir(tmp_path_factory.mktemp("classifier"))
        config = TINY / "textures_classifier_daf.yaml"
        assert main(["fit", "--config", str(config), "--run.directory", "run", *QUIET]) == 0
        yield
    torch.set_num_threads(threads)


def attacked(capsys, config, folder, *arguments):
    """Exit code, what was printed, and the trials of ``dealias test`` on a checkpoint."""
    code = main(["test", "--config", str(config), "--run.directory", folder, *arguments, *QUIET])
    printed = capsys.readouterr()
    path = Path(folder, "robustness.json")
    return code, printed.out + printed.err, json.loads(path.read_text()) if path.is_file() else None


def test_a_run_has_its_files():
    results = json.loads(Path("run/metrics.json").read_text())
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    assert results["task"] == config["task"] == "classification" and results["steps"] == 4
    assert results["best_accuracy"] == results["scores"]["val"]["accuracy"] and len(results["classes"]) == 8
    assert {"best.ckpt", "last.ckpt"} <= {path.name for path in Path("run/checkpoints").iterdir()}
    assert "val/accuracy" in Path("run/metrics.csv").read_text().splitlines()[0]


def test_attacks_are_those_of_the_functions(capsys):
    options = [*LAST, "--attack", "fgsm", "pgd", "--epsilon", "1", "6", "--attack_steps", "2"]
    code, text, result = attacked(capsys, "run/config.yaml", "attacked", *options)
    assert code == 0 and "fgsm" in text and "test accuracy" in text
    assert result["images"] == 9 and result["settings"]["steps"] == 2
    network, about = load_classifier("run/checkpoints/last.ckpt")
    model, as_image = normalised(network, about["mean"], about["std"])
    textures, transform = TextureFrequencies(9, (32, 32), seed=1), classification_evaluation_transform()
    images = torch.stack([transform(textures[i])["image"].as_subclass(torch.Tensor) for i in range(9)])
    labels = torch.arange(9) % 8
    for trial in result["trials"][:3]:
        seen = fgsm(model, as_image(images), labels, trial["epsilon"])
        accuracy = (model(seen).argmax(1) == labels).double().mean().item()
        assert trial["accuracy"] == pytest.approx(accuracy), trial
    with Path("attacked/robustness.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["accuracy"]) for row in rows] == [trial["accuracy"] for trial in result["trials"]]
    assert json.loads(Path("attacked/metrics.json").read_text())["scores"]["test"]["accuracy"] == rows_accuracy(rows)


def rows_accuracy(rows):
    return pytest.approx(float(rows[0]["accuracy"]))


def test_a_segmentation_network_is_attacked_at_its_pixels(capsys):
    config = TINY / "fpn_freqfusion.yaml"
    assert main(["fit", "--config", str(config), "--run.directory", "pixels", *QUIET]) == 0
    last = ["--ckpt_path", "pixels/checkpoints/last.ckpt", "--run.pictures", "0"]
    code, text, result = attacked(capsys, config, "pixels_attacked", *last, "--attack", "fgsm", "--epsilon", "8")
    assert code == 0 and "mIoU (%)" in text
    scores = json.loads(Path("pixels_attacked/metrics.json").read_text())["scores"]["test"]
    clean, fooled = result["trials"]
    for name in ("aAcc", "mAcc", "mIoU"):
        assert clean[name] == pytest.approx(scores[name], abs=1e-6)
    assert fooled["aAcc"] < clean["aAcc"]


def test_predictions_are_a_table():
    assert main(["predict", "--config", "run/config.yaml", *LAST, "--run.directory", "predicted", *QUIET]) == 0
    with Path("predicted/predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    network, _ = load_classifier("run/checkpoints/last.ckpt")
    textures, transform = TextureFrequencies(9, (32, 32), seed=1), classification_evaluation_transform()
    assert [row["name"] for row in rows] == [f"texture_1_{i:06d}" for i in range(9)]
    for index, row in enumerate(rows):
        with torch.no_grad():
            probability, label = network(transform(textures[index])["image"][None]).softmax(1)[0].max(0)
        assert row["class"] == textures.classes[label] and float(row["probability"]) == pytest.approx(
            probability.item(), 1e-3
        )


def test_what_does_not_fit_is_refused(capsys):
    code, text, _ = attacked(capsys, "run/config.yaml", "a", *LAST, "--attack", "cw")
    assert code == 2 and "cw" in text and "fgsm" in text
    code, text, _ = attacked(capsys, "run/config.yaml", "b", *LAST, "--attack", "fgsm", "--epsilon", "0")
    assert code == 2 and "epsilons must be positive" in text
    code, text, _ = attacked(capsys, TINY / "fpn_freqfusion.yaml", "c", *LAST)
    assert code == 2 and "expected a checkpoint of the task segmentation, got one of classification" in text
    assert main(["report", "run", "--out", "report.html"]) == 2
    assert "there is no report of classification runs" in capsys.readouterr().err


def test_the_task_is_that_of_the_arguments_or_of_the_file(tmp_path):
    config, other = tmp_path / "a.yaml", tmp_path / "b.yaml"
    config.write_text("task: classification\n")
    other.write_text("model: {}\n")
    for arguments, task in (
        ([], "segmentation"),
        (["--config", str(other)], "segmentation"),
        ([f"--config={config}"], "classification"),
        (["-c", str(config), "-c", str(other)], "classification"),
        (["--task", "segmentation", "-c", str(config)], "segmentation"),
        (["--task=classification", "--model.optimizer.lr", "0.1"], "classification"),
        (["--config", "missing.yaml"], "segmentation"),
    ):
        assert choose_task(arguments) == task
    with pytest.raises(ValueError, match="unknown task 'tracking'; known: segmentation, classification"):
        choose_task(["--task", "tracking"])


def test_help_is_that_of_the_task(capsys):
    for task, option in (("segmentation", "--model.inference"), ("classification", "--model.label_smoothing")):
        assert main(["fit", "--task", task, "--help"]) == 0
        assert option in capsys.readouterr().out
