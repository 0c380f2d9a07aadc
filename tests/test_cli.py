# SPDX-License-Identifier: Apache-2.0
import argparse
import csv
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from dealias.cli import HELP_FOLDER, MODULES, TRAINING, main
from dealias.commands import compare
from dealias.data import SyntheticScenes
from dealias.models import list_models
from dealias.report.image_scores import read_image_scores
from dealias.report.pictures import load_pictures
from dealias.train import load_checkpoint
from dealias.train.task_choice import TASK_NAMES
from dealias.train.write_help import help_text

CONFIGS = Path(__file__).parents[1] / "configs"
TINY = CONFIGS / "tiny" / "fpn_freqfusion.yaml"
QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """Runs are written below the current folder."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        yield tmp_path
    torch.set_num_threads(threads)


def dealias(capsys, *arguments):
    """Exit code, output and errors of a command."""
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_of_every_command_loads_nothing_heavy():
    program = """
import contextlib, io, sys
from dealias.cli import MODULES, TRAINING, main
for arguments in [["--help"], ["--version"], *([name, "--help"] for name in (*TRAINING, *MODULES))]:
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        main(arguments)
    assert len(text.getvalue()) > 10, arguments
print(sorted({"torch", "lightning", "timm", "torchvision", "jsonargparse", "matplotlib"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_compare_offers_every_architecture():
    parser = argparse.ArgumentParser()
    compare.add_arguments(parser)
    offered = next(action.choices for action in parser._actions if action.dest == "arch")
    assert set(offered) == set(list_models("segmentation")) | set(list_models("detection"))


def options_in(text):
    return set(re.findall(r"(?<![\w-])--?[a-z][\w.]*", text))


@pytest.mark.parametrize("task", TASK_NAMES)
@pytest.mark.parametrize("command", TRAINING)
def test_shipped_help_names_every_argument_of_the_parser(command, task):
    shipped = (HELP_FOLDER / task / f"{command}.txt").read_text(encoding="utf-8")
    real = options_in(help_text(command, task))
    shared = {"--config", "--model.network", "--model.optimizer.factors", "--data.train_transform", "--ckpt_path"}
    assert shared | {"--task"} <= real
    assert options_in(shipped) == real, "run python -m dealias.train.write_help"


def test_overview_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(re.search(rf"^    {name} ", text, re.MULTILINE) for name in (*TRAINING, *MODULES))


def test_list_shows_models_fusions_and_encoders(capsys):
    code, out, _ = dealias(capsys, "list", "--encoders", "test_resn*")
    known = ("upernet", "fpn", "freqfusion", "carafe", "daf", "freqmix", "test_resnet\n")
    assert code == 0 and all(name in out for name in known) and ":class:" not in out
    assert dealias(capsys, "list", "--encoders", "mscan_t")[1].endswith("mscan_t\n")
    assert "internimage_s\ninternimage_b\n" in dealias(capsys, "list", "--encoders", "internimage")[1]
    code, _, err = dealias(capsys, "list", "--encoders", "nothing-like-this")
    assert code == 2 and "nothing-like-this" in err


def settings_of(config):
    return yaml.safe_load(config.read_text())


SEGMENTATION = [path for path in sorted((CONFIGS / "tiny").glob("*.yaml")) if "task" not in settings_of(path)]


@pytest.mark.parametrize("config", SEGMENTATION, ids=lambda path: path.stem)
def test_tiny_configs_run_through_all_commands(capsys, config):
    code, out, err = dealias(capsys, "fit", "--config", config, "--run.directory", "runs/a", *QUIET)
    assert code == 0, err
    files = "report.html, config.yaml, env.json, metrics.csv, metrics.json, .*"
    assert re.search(rf"fit done, val mIoU [\d.]+ %; wrote {files} in runs/a", out)
    run = Path("runs/a")
    result = json.loads((run / "metrics.json").read_text())
    assert json.loads((run / "env.json").read_text())["seed"] == 0
    with (run / "metrics.csv").open() as file:
        steps = {int(row["step"]) for row in csv.DictReader(file) if row["train/loss"]}
    assert len(steps) == result["steps"] > 2
    assert (result["band"], result["edges"]) == (3, settings_of(config)["model"]["metrics"].get("edges", "exact"))
    assert len(load_pictures(run / "pictures").samples) == len(read_image_scores(run / "images_val.csv")) > 1
    assert 'id="c1-image-1"' in (run / "report.html").read_text(encoding="utf-8")

    code, out, err = dealias(capsys, "validate", "--config", run / "config.yaml", "--ckpt_path", "best", *QUIET)
    assert code == 0, err
    (folder,) = Path("runs").glob("*-validate")
    assert json.loads((folder / "metrics.json").read_text())["scores"]["val"]["mIoU"] == pytest.approx(
        result["best_mIoU"]
    )

    for command in ("test", "predict"):
        code, out, err = dealias(capsys, command, "--config", config, "--ckpt_path", "last", *QUIET)
        assert code == 0, err
    (folder,) = Path("runs").glob("*-test")
    assert json.loads((folder / "metrics.json").read_text())["scores"]["test"] == result["scores"]["val"]
    assert (folder / "images_test.csv").read_text() == (run / "images_val.csv").read_text()

    settings = settings_of(config)["data"]["predict"]["init_args"]
    scenes = SyntheticScenes(**settings)
    (folder,) = Path("runs").glob("*-predict")
    predictions = sorted((folder / "labels").glob("*.png"))
    assert [path.stem for path in predictions] == [scenes[index]["name"] for index in range(len(scenes))]
    labels = np.asarray(Image.open(predictions[0]))
    assert labels.shape == tuple(settings["size"]) and labels.max() < 9
    network, meta = load_checkpoint(run / "checkpoints" / "last.ckpt")
    assert network.classes == 9 and meta["step"] == result["steps"]


def test_resuming_continues_in_the_same_run(capsys):
    short = ["--trainer.max_epochs", "1", "--model.schedule.name", "constant"]
    long = ["--trainer.max_epochs", "2", "--model.schedule.name", "constant"]
    for arguments in ([*short], [*long, "--ckpt_path", "last"]):
        code, _, err = dealias(capsys, "fit", "--config", TINY, *arguments, *QUIET)
        assert code == 0, err
    (run,) = Path("runs").iterdir()
    assert dealias(capsys, "fit", "--config", TINY, *long, "--run.directory", "whole", *QUIET)[0] == 0
    found, expected = (torch.load(f / "checkpoints" / "last.ckpt", weights_only=True) for f in (run, Path("whole")))
    assert found["global_step"] == expected["global_step"] == 4
    assert all(torch.equal(found["state_dict"][name], tensor) for name, tensor in expected["state_dict"].items())
    code, _, err = dealias(capsys, "fit", "--config", TINY, "--run.directory", run)
    assert code == 2 and f"{run} holds a run already" in err


ERRORS = {
    "key": (["--data.batchsize", "3"], r"data\.batchsize"),
    "model option": (["--model.network.fusoin", "carafe"], "'fusoin'"),
    "architecture option": (["--model.network.dict_kwargs.decoder_chanels", "3"], "no option decoder_chanels"),
    "fusion": (["--model.network.fusion", "carave"], "unknown fusion 'carave'; known: nearest"),
    "number": (["--model.optimizer.lr", "fast"], r"model\.optimizer\.lr.*\n.*fast"),
    "part": (["--model.optimizer.factors", "{head: 2}"], "no part head"),
    "classes": (["--model.network.classes", "7"], "7 classes, the data has 9"),
    "file": (["--config", "missing.yaml"], "missing.yaml"),
    "checkpoint": (["--ckpt_path", "missing.ckpt"], "missing.ckpt"),
    "no run": (["--ckpt_path", "last"], "no run in runs"),
    "Lightning's": (["--trainer.val_check_interval", "7"], r"`val_check_interval` \(7\)"),
}


@pytest.mark.parametrize(("arguments", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_name_what_is_wrong(capsys, arguments, message):
    code, _, err = dealias(capsys, "fit", "--config", TINY, *arguments, *QUIET)
    assert code == 2 and "Traceback" not in err
    assert re.search(rf"^dealias fit: [\s\S]*{message}", err, re.MULTILINE), err


def test_a_diverged_training_says_where_its_last_checkpoint_is(capsys):
    arguments = ["--model.optimizer.lr", "1e38", "--trainer.gradient_clip_val", "null", "--run.checkpoint_every", "1"]
    schedule = ["--model.schedule.warmup_steps", "2", "--model.schedule.warmup_start", "0"]
    code, _, err = dealias(capsys, "fit", "--config", TINY, *arguments, *schedule, "--run.directory", "a", *QUIET)
    assert code == 1 and re.search(
        r"the loss is \S+ at step 2 .* the last good checkpoint is a/checkpoints/last.ckpt", err
    )
    assert torch.load("a/checkpoints/last.ckpt", weights_only=True)["global_step"] <= 2


def test_validation_without_a_checkpoint_is_refused(capsys):
    code, _, err = dealias(capsys, "validate", "--config", TINY)
    assert code == 2 and "--ckpt_path" in err
